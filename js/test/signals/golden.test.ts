/** Golden renderings of tests/conformance (docs/format.md, section 10). */

import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { open, type Opened } from "../../src/decoding";
import { isNumeric } from "../../src/signals/content";
import { physical } from "../../src/signals/dataset";
import type { Tensor } from "../../src/tensor";
import { bytesOf, namesIn } from "../conformance";
import { type NumpyArray, npyOf, npzOf } from "../numpy";

const PICTURES = namesIn().filter((name) => opened(name).kind === "image");
const SIGNALS = namesIn("signals/");

function opened(name: string): Opened {
  return open(bytesOf(`${name}.sinr`));
}

/** A file whose kind is known. */
function openedAs<K extends Opened["kind"]>(name: string, kind: K): Extract<Opened, { kind: K }> {
  const file = opened(name);
  if (file.kind !== kind) throw new Error(`${name}: is of kind ${file.kind}`);
  return file as Extract<Opened, { kind: K }>;
}

/** The arrays of a rendering by the names that they have in NumPy's files. */
function arraysOf(file: Opened): Record<string, Pick<Tensor, "shape"> & { readonly data: ArrayLike<number> }> {
  switch (file.kind) {
    case "audio": {
      const sound = file.render();
      return { samples: plain(sound), rate: { shape: [], data: [sound.rate] } };
    }
    case "dataset": {
      // Texts are no arrays of numbers, and times are dates in NumPy's.
      const found = [...file.render().variables].filter(([, { dtype, attrs }]) =>
        isNumeric(dtype) && !String(attrs.get("units")).includes(" since "));
      return Object.fromEntries(found.map(([name, variable]) => [name, { shape: variable.shape, data: physical(variable) }]));
    }
    case "shape": {
      const { level, origin, spacing } = file.render();
      return { level: plain(level), origin: { shape: [3], data: origin }, spacing: { shape: [3], data: spacing } };
    }
    case "video": return { frames: plain(file.render()) };
    case "volume": case "radiance": return { array: plain(file.render()) };
    default: throw new Error(`no renderings of kind ${file.kind}`);
  }
}

function plain({ shape, data }: Tensor): { shape: readonly number[]; data: ArrayLike<number> } {
  return { shape, data: data as ArrayLike<number> };
}

/** Largest difference to a golden array over what it may be: 1 or 2 levels, or a thousandth of the range. */
function excess({ shape, data }: { shape: readonly number[]; data: ArrayLike<number> }, wanted: NumpyArray): number {
  expect(shape).toEqual(wanted.shape);
  expect(data.length).toBe(wanted.data.length);
  let most = 0, low = Infinity, high = -Infinity;
  wanted.data.forEach((value, i) => {
    expect(Number.isNaN(data[i])).toBe(Number.isNaN(value));
    if (Number.isNaN(value)) return;
    most = Math.max(most, Math.abs(data[i] - value));
    low = Math.min(low, value);
    high = Math.max(high, value);
  });
  const kind = wanted.dtype.slice(1);
  return most / (/^[iu]1$/.test(kind) ? 1 : /^[iu]/.test(kind) ? 2 : 1e-3 * Math.max(high - low, 0) + 1e-12);
}

beforeAll(loadBrotli);

describe("golden renderings", () => {
  it.each(PICTURES)("%s.npy", (name) => {
    const wanted = npyOf(`${name}.npy`), rendering = openedAs(name, "image").render();
    let most = 0;
    expect(rendering.shape).toEqual(wanted.shape);
    wanted.data.forEach((value, i) => (most = Math.max(most, Math.abs((rendering.data[i] as number) - value))));
    expect(most).toBeLessThanOrEqual(wanted.dtype.includes("f") ? 1e-3 : 1);
  });

  it.each(SIGNALS)("%s.npz", (name) => {
    const wanted = npzOf(`${name}.npz`), found = arraysOf(opened(name));
    expect(Object.keys(found).sort()).toEqual([...wanted.keys()].sort());
    for (const [key, array] of Object.entries(found)) expect(excess(array, wanted.get(key)!), key).toBeLessThanOrEqual(1);
  });
});

