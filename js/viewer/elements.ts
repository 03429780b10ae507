/** Elements of the page, made in one expression. */

type Child = Node | string;

/** An element with properties and children. Names that begin with "aria-" or "data-" are attributes. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, properties: Record<string, unknown> = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/** A slider from 0 to `last` with a name; `say` puts a position into words. */
export function slider(name: string, last: number, start: number, say: (at: number) => string, changed: (at: number) => void): HTMLLabelElement {
  const output = make("output", {}, say(start));
  const input = make("input", { type: "range", min: "0", max: String(last), step: "1", value: String(start), disabled: last === 0 });
  input.addEventListener("input", () => {
    output.value = say(Number(input.value));
    changed(Number(input.value));
  });
  return make("label", { className: "slider" }, make("span", {}, name), input, output);
}

/** Runs only the last of several jobs that are asked for in a short time; the others are cancelled. */
export class Latest {
  private controller = new AbortController();

  /** The signal of a new job; the one before is aborted. */
  next(): AbortSignal {
    this.controller.abort();
    this.controller = new AbortController();
    return this.controller.signal;
  }
}

/** A frame of a width over height, as large as the window lets it be. */
export function framed(ratio: number, ...children: Child[]): HTMLDivElement {
  const frame = make("div", { className: "frame" }, ...children);
  frame.style.setProperty("--ratio", String(ratio));
  return frame;
}

/** Has the browser keep bytes as a file. */
export function save(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const href = URL.createObjectURL(new Blob([bytes]));
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // once the browser has begun to read them
}

/** Draws a picture into a canvas of its size. */
export function draw(canvas: HTMLCanvasElement, { width, height, data }: { width: number; height: number; data: Uint8ClampedArray<ArrayBuffer> }): void {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")!.putImageData(new ImageData(data, width, height), 0, 0);
}
