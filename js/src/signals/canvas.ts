/** Pictures for the screen: RGBA with 8 bits a channel, not premultiplied, from samples of any mode. */

import { InputError } from "../errors";
import { fromHalf, type Tensor } from "../tensor";
import { clip, nearest } from "./numbers";

type Colour = (channels: Float64Array, out: Float64Array) => void;

/** Channels 0 .. 255 of a mode as red, green and blue 0 .. 255. */
const COLOURS: Readonly<Record<string, Colour>> = {
  CMYK: ([c, m, y, k], out) => [c, m, y].forEach((ink, i) => (out[i] = ((255 - ink) * (255 - k)) / 255)),
  YCbCr: ([y, blue, red], out) => {
    out[0] = y + 1.402 * (red - 128);
    out[1] = y - 0.344136 * (blue - 128) - 0.714136 * (red - 128);
    out[2] = y + 1.772 * (blue - 128);
  },
  HSV: ([h, s, v], out) => {
    for (let i = 0; i < 3; i++) {
      const k = ([5, 3, 1][i] + (h * 6) / 255) % 6;
      out[i] = v - ((v * s) / 255) * clip(Math.min(k, 4 - k), 0, 1);
    }
  },
  LAB: ([l, a, b], out) => fromLab(l, a - 128, b - 128, out),
  "LAB;signed": ([l, a, b], out) => fromLab(l, ((a + 128) % 256) - 128, ((b + 128) % 256) - 128, out),
};

/** What a picture is shown as. */
export interface Shown {
  /** Pillow's mode, as that of a rendering of a picture; default: gray, gray and alpha, RGB or RGBA by the channels. */
  readonly mode?: string;
  /** Samples that are black and white, as a rendering has them. Default: the range of 8 and 16 bits, else of the samples. */
  readonly range?: readonly [low: number, high: number];
}

/**
 * RGBA bytes (height, width, 4) of samples (height, width) or (height, width, channels), for a canvas.
 *
 * @throws InputError for samples of another shape.
 */
export function toRGBA8({ dtype, shape, data }: Tensor, { mode = "", range }: Shown = {}): Uint8ClampedArray<ArrayBuffer> {
  const [height, width, channels = 1] = shape;
  if (shape.length < 2 || shape.length > 3 || channels < 1 || channels > 4) {
    throw new InputError("toRGBA8: expected samples (height, width) or (height, width, 1 .. 4)");
  }
  const sampleAt = dtype === "float16" ? (i: number) => fromHalf(data[i] as number) : (i: number) => Number(data[i]);
  const [low, high] = range ?? rangeOf(dtype, data.length, sampleAt), span = high > low ? high - low : Infinity;
  const colour = COLOURS[mode], hasAlpha = colour === undefined && channels % 2 === 0, colours = channels - Number(hasAlpha);
  const out = new Uint8ClampedArray(height * width * 4).fill(255), some = new Float64Array(channels), found = new Float64Array(3);
  const most = maxOf(dtype);
  for (let pixel = 0, from = 0, to = 0; pixel < height * width; pixel++, from += channels, to += 4) {
    for (let i = 0; i < channels; i++) some[i] = ((sampleAt(from + i) - low) * 255) / span;
    if (colour !== undefined) colour(some, found);
    else for (let i = 0; i < 3; i++) found[i] = some[colours === 1 ? 0 : i];
    for (let i = 0; i < 3; i++) out[to + i] = nearest(clip(found[i], 0, 255));
    // Alpha has the range of its type, whatever that of the colours is.
    if (hasAlpha) out[to + 3] = most === undefined ? some[colours] : (sampleAt(from + colours) * 255) / most;
  }
  return out;
}

/** The frame of a number of a clip or of views, (height, width) or (height, width, channels), not copied. */
export function frameOf({ dtype, shape, data }: Tensor, number: number): Tensor {
  const [frames, ...rest] = shape, size = rest.reduce((product, n) => product * n, 1);
  if (!Number.isInteger(number) || number < 0 || number >= frames) throw new InputError(`frame: expected 0 to ${frames - 1}`);
  return { dtype, shape: rest, data: data.subarray(number * size, (number + 1) * size) };
}

function maxOf(dtype: Tensor["dtype"]): number | undefined {
  return ({ bool: 1, uint8: 255, uint16: 65535 } as Partial<Record<Tensor["dtype"], number>>)[dtype];
}

function rangeOf(dtype: Tensor["dtype"], count: number, sampleAt: (i: number) => number): readonly [number, number] {
  const most = maxOf(dtype);
  if (most !== undefined) return [0, most];
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < count; i++) {
    const sample = sampleAt(i);
    if (sample < low) low = sample;
    if (sample > high) high = sample;
  }
  return low <= high ? [low, high] : [0, 1];
}

/** CIELAB with white D50, L 0 .. 255 for 0 .. 100, as sRGB. */
function fromLab(l: number, a: number, b: number, out: Float64Array): void {
  const y = ((l * 100) / 255 + 16) / 116, linear = (t: number): number => (t > 6 / 29 ? t ** 3 : 3 * (6 / 29) ** 2 * (t - 4 / 29));
  const [x, z] = [0.9642 * linear(y + a / 500), 0.8249 * linear(y - b / 200)], luminance = linear(y);
  [
    3.1338561 * x - 1.6168667 * luminance - 0.4906146 * z,
    -0.9787684 * x + 1.9161415 * luminance + 0.033454 * z,
    0.0719453 * x - 0.2289914 * luminance + 1.4052427 * z,
  ].forEach((light, i) => (out[i] = 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055)));
}
