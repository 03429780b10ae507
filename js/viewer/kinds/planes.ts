/** Planes of numbers as pictures: windows of grey, and a colour map. */

import type { Plane } from "../protocol";

/** Colours of viridis (Smith and van der Walt, CC0) at equal distances. */
const VIRIDIS = [
  [68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88],
  [181, 222, 43], [253, 231, 37],
] as const;
/** Cells without a value. */
const MISSING = [128, 128, 128, 60] as const;

type Colour = readonly [number, number, number];

export function grey(share: number): Colour {
  return [255 * share, 255 * share, 255 * share];
}

export function viridis(share: number): Colour {
  const place = share * (VIRIDIS.length - 1), i = Math.min(Math.floor(place), VIRIDIS.length - 2), t = place - i;
  return [0, 1, 2].map((c) => VIRIDIS[i][c] + t * (VIRIDIS[i + 1][c] - VIRIDIS[i][c])) as unknown as Colour;
}

/** RGBA of a plane; numbers at or beyond the ends of the range have the first and the last colour. */
export function coloured({ width, height, values }: Plane, [low, high]: readonly [number, number], colour: (share: number) => Colour): {
  width: number; height: number; data: Uint8ClampedArray<ArrayBuffer>;
} {
  const data = new Uint8ClampedArray(4 * values.length), table = Array.from({ length: 256 }, (_, i) => colour(i / 255));
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) {
      data.set(MISSING, 4 * i);
      continue;
    }
    const share = high > low ? (values[i] - low) / (high - low) : 0.5;
    data.set(table[Math.round(255 * Math.min(Math.max(share, 0), 1))], 4 * i);
    data[4 * i + 3] = 255;
  }
  return { width, height, data };
}

/** The path, in cells of a grid, between those that a mask holds and their neighbours. */
export function bordersOf(mask: Uint8Array, width: number): string {
  let path = "";
  for (let i = 0; i < mask.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (x + 1 < width && mask[i] !== mask[i + 1]) path += `M${x + 1} ${y}v1`;
    if (i + width < mask.length && mask[i] !== mask[i + width]) path += `M${x} ${y + 1}h1`;
  }
  return path;
}

/** A number in few digits. */
export function short(value: number): string {
  return Number.isNaN(value) ? "no value" : String(+value.toPrecision(5));
}
