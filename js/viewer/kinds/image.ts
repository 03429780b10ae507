/** Pictures: zoom without end, tiles at the resolution of the screen, and a comparison with another picture. */

import { make } from "../elements";
import { Decoder, isCancelled } from "../decoder";
import type { Content } from "../protocol";
import type { Shown, Stage } from "../show";

const TILE = 256, KEPT = 256, LEAST_LEVEL = -6, MOST_ZOOM = 4096, STEP = 1.2;

type Picture = Extract<Content, { kind: "image" }>;

/** A tile of the picture at a level: 2^level samples a pixel. */
interface Tile {
  readonly level: number;
  readonly row: number;
  readonly column: number;
}

export function showImage({ element, decoder, progress, problem }: Stage, { width, height }: Picture): Shown {
  const canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": `Picture of ${width} by ${height} pixels; zoom by plus and minus, move by arrows` });
  const where = make("output", { className: "where" });
  const compare = make("button", { type: "button" }, "Compare"), picker = make("input", { type: "file", hidden: true, "aria-label": "Picture to compare with" });
  const fit = make("button", { type: "button" }, "Fit"), real = make("button", { type: "button" }, "1 : 1");
  const divider = make("input", { type: "range", className: "divider", min: "0", max: "1", step: "0.001", value: "0.5", hidden: true, "aria-label": "Where the pictures meet" });
  element.replaceChildren(canvas, make("div", { className: "bar" }, fit, real, compare, where), divider, picker);

  const tiles = new Map<string, ImageBitmap>(), context = canvas.getContext("2d")!;
  let view = { x: width / 2, y: height / 2, zoom: 1 }, fitted = true, drawn = 0, working: AbortController | undefined, asked = "";
  let other: ImageBitmap | undefined;
  const old = new Set<string>(); // tiles of a state of the file before this one

  const sizeAt = (level: number) => [height, width].map((n) => Math.max(1, Math.round(n * 2 ** level))) as [number, number];
  const ratio = () => window.devicePixelRatio || 1;

  function fitIn(): void {
    fitted = true;
    view = { x: width / 2, y: height / 2, zoom: Math.min(canvas.width / width, canvas.height / height) };
    invalidate();
  }

  function invalidate(): void {
    drawn ||= requestAnimationFrame(() => {
      drawn = 0;
      paint();
      void load();
    });
  }

  /** Tiles of a level that are on the screen, those near the middle first. */
  function visible(level: number): Tile[] {
    const [h, w] = sizeAt(level), found: Tile[] = [], [sx, sy] = [w / width, h / height];
    const [left, right] = [-1, 1].map((side) => (view.x + (side * canvas.width) / 2 / view.zoom) * sx);
    const [top, bottom] = [-1, 1].map((side) => (view.y + (side * canvas.height) / 2 / view.zoom) * sy);
    for (let row = Math.max(0, Math.floor(top / TILE)); row * TILE < Math.min(bottom, h); row++) {
      for (let column = Math.max(0, Math.floor(left / TILE)); column * TILE < Math.min(right, w); column++) found.push({ level, row, column });
    }
    const far = ({ row, column }: Tile) => Math.hypot((row + 0.5) * TILE - view.y * sy, (column + 0.5) * TILE - view.x * sx);
    return found.sort((a, b) => far(a) - far(b));
  }

  /** The level whose samples are as large as pixels of the screen, or smaller. */
  function levelNow(): number {
    return Math.max(LEAST_LEVEL, Math.ceil(Math.log2(view.zoom) - 1e-6));
  }

  function paint(): void {
    context.clearRect(0, 0, canvas.width, canvas.height);
    // Edges are on pixels of the screen, so that no line shows between tiles.
    const across = (x: number) => Math.round((x - view.x) * view.zoom + canvas.width / 2);
    const down = (y: number) => Math.round((y - view.y) * view.zoom + canvas.height / 2);
    const now = levelNow(), levels = [...new Set([...tiles.keys()].map((key) => Number(key.split(",")[0])))].sort((a, b) => a - b);
    for (const level of [...levels.filter((each) => each !== now && each < now), now]) {
      const [h, w] = sizeAt(level), [sy, sx] = [height / h, width / w];
      for (const tile of visible(level)) {
        const bitmap = tiles.get(keyOf(tile));
        if (bitmap === undefined) continue;
        context.imageSmoothingEnabled = level !== now || view.zoom < 2 ** level;
        const [left, top] = [across(tile.column * TILE * sx), down(tile.row * TILE * sy)];
        const [right, bottom] = [across((tile.column * TILE + bitmap.width) * sx), down((tile.row * TILE + bitmap.height) * sy)];
        context.drawImage(bitmap, left, top, right - left, bottom - top);
      }
    }
    if (other !== undefined) {
      const from = view.x + ((Number(divider.value) - 0.5) * canvas.width) / view.zoom, share = Math.min(Math.max(from / width, 0), 1);
      context.imageSmoothingEnabled = view.zoom < 1;
      const [left, top, right, bottom] = [across(share * width), down(0), across(width), down(height)];
      if (share < 1) context.drawImage(other, share * other.width, 0, (1 - share) * other.width, other.height, left, top, right - left, bottom - top);
      context.fillStyle = "#fff";
      context.fillRect(across(from) - 1, 0, 2, canvas.height);
    }
    where.value = `${Number((100 * view.zoom).toPrecision(3)).toLocaleString("en")} %`;
    element.dataset.zoom = String(view.zoom);
  }

  /** Renders what is missing, a coarse level first, one tile at a time. */
  async function load(): Promise<void> {
    const level = levelNow(), coarse = Math.max(LEAST_LEVEL, Math.min(level, Math.ceil(Math.log2(Math.min(512 / width, 512 / height, 1)))));
    const missing = [...visible(coarse), ...visible(level)].find((tile) => !tiles.has(keyOf(tile)) || old.has(keyOf(tile)));
    const wanted = missing === undefined ? "" : keyOf(missing);
    if (wanted === asked && missing !== undefined) return;
    working?.abort();
    asked = wanted;
    element.dataset.done = String(missing === undefined);
    if (missing === undefined) return progress(undefined);
    const { signal } = (working = new AbortController()), [h, w] = sizeAt(missing.level);
    const range = (at: number, n: number) => [at * TILE, Math.min((at + 1) * TILE, n)] as const;
    try {
      const tile = await decoder.ask("tile", { scale: 2 ** missing.level, tile: [range(missing.row, h), range(missing.column, w)] }, { signal, progress });
      const bitmap = await createImageBitmap(new ImageData(tile.data, tile.width, tile.height));
      if (signal.aborted) return;
      tiles.set(wanted, bitmap);
      old.delete(wanted);
      for (const key of tiles.keys()) {
        if (tiles.size <= KEPT) break;
        if (!key.startsWith(`${coarse},`)) tiles.delete(key);
      }
      asked = "";
      invalidate();
    } catch (reason) {
      if (!isCancelled(reason)) problem(reason);
    }
  }

  function zoomBy(factor: number, at?: { x: number; y: number }): void {
    zoomTo(view.zoom * factor, at);
  }

  function zoomTo(wanted: number, at = { x: canvas.width / 2, y: canvas.height / 2 }): void {
    const least = Math.min(canvas.width / width, canvas.height / height, 1) / 4, zoom = Math.min(Math.max(wanted, least), MOST_ZOOM);
    const [dx, dy] = [at.x - canvas.width / 2, at.y - canvas.height / 2];
    view = { x: view.x + dx / view.zoom - dx / zoom, y: view.y + dy / view.zoom - dy / zoom, zoom };
    fitted = false;
    invalidate();
  }

  function moveBy(dx: number, dy: number): void {
    view = { ...view, x: Math.min(Math.max(view.x - dx / view.zoom, 0), width), y: Math.min(Math.max(view.y - dy / view.zoom, 0), height) };
    fitted = false;
    invalidate();
  }

  const pointers = new Map<number, { x: number; y: number }>(), place = (event: MouseEvent) => {
    const box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * ratio(), y: (event.clientY - box.top) * ratio() };
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(2 ** (-event.deltaY / 300), place(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId), now = place(event);
    if (before === undefined) return;
    pointers.set(event.pointerId, now);
    const second = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (second === undefined) return moveBy(now.x - before.x, now.y - before.y);
    zoomBy(Math.hypot(now.x - second.x, now.y - second.y) / Math.max(Math.hypot(before.x - second.x, before.y - second.y), 1), second);
  });
  for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("keydown", (event) => {
    const step = 64 * ratio();
    const act = {
      "+": () => zoomBy(STEP), "=": () => zoomBy(STEP), "-": () => zoomBy(1 / STEP), "0": fitIn, "1": () => zoomTo(ratio()),
      ArrowLeft: () => moveBy(step, 0), ArrowRight: () => moveBy(-step, 0), ArrowUp: () => moveBy(0, step), ArrowDown: () => moveBy(0, -step),
    }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  fit.addEventListener("click", fitIn);
  real.addEventListener("click", () => zoomTo(ratio()));
  compare.addEventListener("click", () => (other === undefined ? picker.click() : leave()));
  divider.addEventListener("input", invalidate);

  function leave(): void {
    other = undefined;
    divider.hidden = true;
    compare.textContent = "Compare";
    invalidate();
  }

  async function compareWith(file: File): Promise<void> {
    try {
      other = await pictureIn(file);
      divider.hidden = false;
      compare.textContent = "Leave comparison";
      invalidate();
    } catch (reason) {
      problem(reason);
    }
  }
  picker.addEventListener("change", () => picker.files?.[0] && void compareWith(picker.files[0]));

  const resizing = new ResizeObserver(() => {
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio()));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio()));
    if (fitted) fitIn();
    else invalidate();
  });
  resizing.observe(canvas);
  return {
    close: () => {
      resizing.disconnect();
      working?.abort();
    },
    refresh: () => {
      for (const key of tiles.keys()) old.add(key);
      working?.abort();
      asked = "";
      invalidate();
    },
  };
}

function keyOf({ level, row, column }: Tile): string {
  return `${level},${row},${column}`;
}

/** The picture in a file: a .sinr file at its own size, or one that the browser knows. */
async function pictureIn(file: File): Promise<ImageBitmap> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] !== 0x89 || bytes[1] !== 0x53) {
    return createImageBitmap(file).catch(() => Promise.reject(new Error(`${file.name}: this browser does not read such pictures`)));
  }
  const second = new Decoder();
  try {
    const { content } = await second.open({ bytes });
    if (content.kind !== "image") throw new Error(`${file.name}: holds no picture`);
    const { width, height, data } = await second.ask("tile", { scale: 1, tile: [[0, content.height], [0, content.width]] });
    return await createImageBitmap(new ImageData(data, width, height));
  } finally {
    second.close();
  }
}
