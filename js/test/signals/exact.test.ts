/** Renderings whose samples are the same bits everywhere: of pyramids, and by integers (docs/format.md, section 10). */

import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { open } from "../../src/decoding";
import { isNumeric } from "../../src/signals/content";
import { physical } from "../../src/signals/dataset";
import type { Tensor } from "../../src/tensor";
import { bytesOf, jsonOf, namesIn } from "../conformance";
import { hashOf } from "../hashes";
import { npzOf } from "../numpy";

/** The options of the golden renderings of pictures; left, top, right and bottom are those of a folder. */
function optionsOf([left, top, right, bottom]: readonly number[]) {
  return { pixels: {}, region: { region: [[top, bottom], [left, right]] }, larger: { size: [31, 77] }, smaller: { scale: 0.3 } } as const;
}

beforeAll(loadBrotli);

describe("evaluation by integers", () => {
  const golden = jsonOf<Record<string, string[]>>("exact/golden.json");

  it.each(namesIn("exact/"))("%s has the same bits", (path) => {
    const file = open(bytesOf(`${path}.sinr`)), name = path.slice("exact/".length);
    if (file.kind === "state" || file.kind === "base") throw new Error("no signal");
    if (file.kind === "image") {
      const options = optionsOf([1, 0, 7, 5]);
      const found = Object.entries(options).map(([key, each]) => [key, [hashOf(file.render(each))]]);
      expect(Object.fromEntries(found)).toEqual(golden[name]);
    } else if (file.kind === "dataset") {
      // The dtypes that xarray gives to numbers in units are those of the same file without key 9.
      const dtypes = npzOf(`signals/${name}.npz`);
      const found = [...file.render().variables].sort().flatMap(([key, variable]) => {
        if (!isNumeric(variable.dtype) || !dtypes.has(key)) return [];
        const { shape, dtype, data } = variable, wanted = dtypes.get(key)!.dtype;
        if (wanted === "<f8") return [hashOf({ dtype: "float64", shape, data: physical(variable) })];
        if (wanted === "<f4") return [hashOf({ dtype: "float32", shape, data: Float32Array.from(physical(variable)) })];
        return [hashOf({ dtype, shape, data: data as Tensor["data"] })];
      });
      for (const hash of golden[name].samples) expect(found).toContain(hash);
    } else {
      const rendering = file.render();
      expect([hashOf("level" in rendering ? rendering.level : rendering)]).toEqual(golden[name].samples);
    }
  });
});

describe("pyramids", () => {
  const golden = jsonOf<Record<string, string>>("pyramids/golden.json");
  const ofClip = { pixels: {}, region: { region: [[2, 5], [0, 7], [3, 17]] }, faster: { fps: 40 }, smaller: { scale: 0.3 } } as const;

  it.each(namesIn("pyramids/"))("%s has the same bits", (path) => {
    const file = open(bytesOf(`${path}.sinr`)), name = path.slice("pyramids/".length);
    if (file.kind !== "image" && file.kind !== "video") throw new Error("neither picture nor video");
    const options = file.kind === "image" ? optionsOf([3, 0, 17, 1]) : ofClip;
    for (const [key, each] of Object.entries(options)) {
      if (key in golden[name]) expect(hashOf(file.render(each as object)), key).toBe(golden[name][key as never]);
    }
  });
});

describe("interlaced samples", () => {
  const golden = jsonOf<Record<string, string>>("interlaced/golden.json");
  const options = {
    image: optionsOf([3, 0, 17, 1]),
    volume: { pixels: {}, region: { region: [[1, 3], [0, 2]] }, larger: { scale: 1.5 }, smaller: { scale: 0.4 } },
    video: { pixels: {}, region: { region: [[2, 5], [0, 7], [3, 17]] }, faster: { fps: 40 } },
  } as const;

  it.each(namesIn("interlaced/"))("%s has the same bits", (path) => {
    const file = open(bytesOf(`${path}.sinr`)), name = path.slice("interlaced/".length);
    if (file.kind !== "image" && file.kind !== "video" && file.kind !== "volume") throw new Error("another kind");
    for (const [key, each] of Object.entries(options[file.kind])) {
      if (key in golden[name]) expect(hashOf(file.render(each as object)), key).toBe(golden[name][key as never]);
    }
  });
});
