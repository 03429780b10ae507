/** Datasets: a map of a variable, positions along its other dimensions, and the value under the cursor. */

import { isCancelled } from "../decoder";
import { draw, framed, Latest, make, slider } from "../elements";
import type { Content, Field, MapPlane, Plane } from "../protocol";
import type { Shown, Stage } from "../show";
import { bordersOf, coloured, short, viridis } from "./planes";

const SVG = "http://www.w3.org/2000/svg";

export function showDataset({ element, decoder, problem }: Stage, { variables }: Extract<Content, { kind: "dataset" }>): Shown {
  const select = make("select", { id: "variable" }, ...variables.map(({ name }) => make("option", {}, name)));
  const canvas = make("canvas", { role: "img", "aria-label": "Map of the variable" });
  const coast = document.createElementNS(SVG, "svg"), line = coast.appendChild(document.createElementNS(SVG, "path")), frame = framed(1, canvas, coast);
  const sliders = make("div", { className: "sliders" }), value = make("output", { className: "where" }), legend = make("canvas", { className: "legend", width: 256, height: 1 });
  const [least, most] = [make("output"), make("output")], latest = new Latest();
  let field: Field = variables[0], at: number[] = [], plane: MapPlane | undefined, isUpright = false;
  draw(legend, coloured({ width: 256, height: 1, values: Float32Array.from({ length: 256 }, (_, i) => i), range: [0, 255] }, [0, 255], viridis));
  coast.setAttribute("class", "coast");
  coast.setAttribute("preserveAspectRatio", "none");
  element.replaceChildren(frame, make("div", { className: "controls" },
    make("label", { className: "slider", for: "variable" }, make("span", {}, "variable"), select), sliders,
    make("div", { className: "scale" }, least, legend, most), value));
  select.addEventListener("change", () => choose(variables[select.selectedIndex]));
  choose(field);

  function choose(chosen: Field): void {
    field = chosen;
    at = field.dims.slice(0, -2).map(() => 0);
    const rows = field.dims[field.dims.length - 2]?.labels.map(Number) ?? [];
    isUpright = rows.length > 1 && rows[0] < rows[rows.length - 1]; // latitudes that rise are drawn upwards
    sliders.replaceChildren(...at.map((_, i) => {
      const { name, size } = field.dims[i];
      return slider(name, size - 1, 0, (place) => placeOf(field.dims[i], place), (place) => {
        at[i] = place;
        void render();
      });
    }));
    void render();
  }

  async function render(): Promise<void> {
    try {
      plane = await decoder.ask("map", { variable: field.name, at: [...at] }, { signal: latest.next() });
      const { width, height } = plane, flipped = isUpright ? upsideDown(plane) : plane;
      draw(canvas, coloured(flipped, plane.range, viridis));
      frame.style.setProperty("--ratio", String(width / height));
      coast.setAttribute("viewBox", `0 0 ${width} ${height}`);
      coast.style.transform = isUpright ? "scaleY(-1)" : "";
      line.setAttribute("d", bordersOf(plane.missing, width));
      [least.value, most.value] = plane.range.map((end) => `${short(end)} ${field.unit}`.trim());
      element.dataset.done = field.name;
    } catch (reason) {
      if (!isCancelled(reason)) problem(reason);
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    if (plane === undefined) return;
    const box = canvas.getBoundingClientRect(), { width, height } = plane;
    const row = Math.min(Math.floor(((event.clientY - box.top) / box.height) * height), height - 1), y = isUpright ? height - 1 - row : row;
    const x = Math.min(Math.floor(((event.clientX - box.left) / box.width) * width), width - 1), places = [y, x];
    const where = field.dims.slice(-2).map((dim, i) => `${dim.name} ${placeOf(dim, places[i])}`);
    value.value = `${short(plane.values[y * width + x])} ${field.unit} at ${where.join(", ")}`;
  });
  return {};
}

/** A position along a dimension as the file names it. */
function placeOf({ labels, unit }: Field["dims"][number], at: number): string {
  return labels[at] === undefined ? `${at}` : `${labels[at]} ${unit}`.trim();
}

function upsideDown(plane: Plane): Plane {
  const { width, height } = plane, values = new Float32Array(plane.values.length);
  for (let row = 0; row < height; row++) values.set(plane.values.subarray(row * width, (row + 1) * width), (height - 1 - row) * width);
  return { ...plane, values };
}
