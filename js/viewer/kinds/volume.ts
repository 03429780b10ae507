/** Volumes: three slices through a point, a window of grey, and the value there. */

import { isCancelled } from "../decoder";
import { draw, framed, Latest, make, save, slider } from "../elements";
import type { Content, Plane } from "../protocol";
import type { Shown, Stage } from "../show";
import { coloured, grey, short } from "./planes";

const NAMES = ["first", "second", "third"];

/** A voxel's number along an axis, beside those that there are. */
const placeOf = (at: number, n: number): string => `${at} of 0–${n - 1}`;

export function showVolume({ element, decoder, name: file, progress, problem }: Stage, { sizes, spacing }: Extract<Content, { kind: "volume" }>): Shown {
  const axes = sizes.slice(0, 3), point = axes.map((n) => n >> 1), planes: (Plane | undefined)[] = [], latest = axes.map(() => new Latest());
  let range: readonly [number, number] | undefined, whole: readonly [number, number] = [0, 1];
  const download = make("button", { type: "button" }, "Download as NIfTI"), value = make("output", { className: "where" }), views = axes.map((_, axis) => view(axis));
  const sliders = axes.map((n, axis) => slider(`${NAMES[axis]} axis`, n - 1, point[axis], (at) => placeOf(at, n), (at) => go(axis, at)));
  const [low, high] = ["darkest", "brightest"].map((name, end) => slider(name, 1000, 1000 * end, (at) => short(valueAt(at / 1000)), (at) => windowTo(end, at / 1000)));
  element.replaceChildren(
    make("div", { className: "slices" }, ...views.map(({ figure }) => figure)),
    make("div", { className: "controls" }, ...sliders, low, high, value, download),
  );
  download.addEventListener("click", async () => {
    download.disabled = true;
    try {
      const { bytes, extension } = await decoder.ask("nifti", {}, { progress });
      save(bytes, file.replace(/\.sinr$/, "") + extension);
    } catch (reason) {
      problem(reason);
    }
    progress(undefined);
    download.disabled = false;
  });
  axes.forEach((_, axis) => void render(axis));

  function view(axis: number): { figure: HTMLElement; canvas: HTMLCanvasElement; mark: HTMLElement } {
    const [down, across] = axes.map((_, a) => a).filter((a) => a !== axis), canvas = make("canvas", { role: "img", "aria-label": `Slice across the ${NAMES[axis]} axis` });
    const [h, w] = [axes[down] ?? 1, axes[across] ?? 1].map((n, i) => n * (spacing[[down, across][i]] ?? 1)), mark = make("span", { className: "mark" });
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      go(down, Math.floor(((event.clientY - box.top) / box.height) * axes[down]));
      go(across, Math.floor(((event.clientX - box.left) / box.width) * axes[across]));
    });
    return { figure: make("figure", {}, framed(w / h, canvas, mark), make("figcaption", {}, `across the ${NAMES[axis]} axis`)), canvas, mark };
  }

  function go(axis: number, at: number): void {
    point[axis] = Math.min(Math.max(at, 0), axes[axis] - 1);
    const input = sliders[axis].querySelector("input")!, output = sliders[axis].querySelector("output")!;
    input.value = String(point[axis]);
    output.value = placeOf(point[axis], axes[axis]);
    void render(axis);
    tell();
  }

  /** The value at a share of the range of the volume. */
  function valueAt(share: number): number {
    return whole[0] + share * (whole[1] - whole[0]);
  }

  function windowTo(end: number, share: number): void {
    const place = valueAt(share), before = range ?? whole;
    range = end === 0 ? [place, before[1]] : [before[0], place];
    axes.forEach((_, axis) => paint(axis));
  }

  async function render(axis: number): Promise<void> {
    try {
      const plane = await decoder.ask("slice", { axis, at: point[axis] }, { signal: latest[axis].next() });
      planes[axis] = plane;
      whole = plane.range;
      if (range === undefined) {
        range = plane.range;
        [low, high].forEach((ends, end) => (ends.querySelector("output")!.value = short(plane.range[end])));
      }
      paint(axis);
      tell();
      element.dataset.done = String(planes.filter((each) => each).length);
    } catch (reason) {
      if (!isCancelled(reason)) problem(reason);
    }
  }

  function paint(axis: number): void {
    const plane = planes[axis];
    if (plane !== undefined) draw(views[axis].canvas, coloured(plane, range ?? plane.range, grey));
  }

  /** The value at the point, and marks where it is in the slices. */
  function tell(): void {
    views.forEach(({ mark }, axis) => {
      const [down, across] = axes.map((_, a) => a).filter((a) => a !== axis);
      mark.style.top = `${(100 * (point[down] + 0.5)) / axes[down]}%`;
      mark.style.left = `${(100 * (point[across] + 0.5)) / axes[across]}%`;
    });
    const plane = planes[0];
    value.value = plane ? `value ${short(plane.values[point[1] * plane.width + point[2]])} at (${point.join(", ")})` : "";
  }

  return {};
}
