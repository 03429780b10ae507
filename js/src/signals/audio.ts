/** Sounds (docs/format-signals.md, "Sounds"): functions of time, in blocks with cross-fades. */

import { type Cbor, CborFloat } from "../container/cbor";
import { InputError, UnknownIdError } from "../errors";
import { allocate, type DType, type Numbers, type Tensor } from "../tensor";
import { Cut } from "./blocks";
import { checkNoSide, expect, isList, isWhole } from "./checks";
import { bytesOf } from "./grids";
import type { Networks, Steps } from "./networks";
import { clip, nearest } from "./numbers";
import { checkCount } from "./spans";
import type { Description, Reader, Spec } from "./spec";

const MAX_RATE = 2 ** 31 - 1;
const MAX_FRAMES = 2 ** 48;
const MAX_CHANNELS = 1024;
const MAX_GAIN = 3.4028234663852886e38; // of float formats

/** Sample formats by id: the dtype of decoded samples, and full scale. */
const FORMATS: readonly { readonly name: string; readonly dtype: DType; readonly scale: number }[] = [
  { name: "PCM_16", dtype: "int16", scale: 2 ** 15 },
  { name: "PCM_24", dtype: "int32", scale: 2 ** 23 },
  { name: "PCM_32", dtype: "int32", scale: 2 ** 31 },
  { name: "FLOAT", dtype: "float32", scale: 1 },
  { name: "DOUBLE", dtype: "float64", scale: 1 },
  { name: "PCM_U8", dtype: "int8", scale: 2 ** 7 },
  { name: "PCM_S8", dtype: "int8", scale: 2 ** 7 },
];

// Decimation: a low-pass filter for a rate below the source's.
const MOST_FACTOR = 4096;
const CROSSINGS = 32; // zero crossings on each side
const CUTOFF = 0.92; // as a share of the Nyquist frequency
const KAISER = 8; // 80 dB attenuation in the stop band
const OVERSAMPLED = 1 << 16; // samples computed at once
const MIN_DECIMATED = 64;
const MOST_OVERSAMPLED = 1 << 24; // over all channels

export interface AudioOptions {
  /** Samples a second of the result. Default: the source's. */
  readonly rate?: number;
  /** First second, and second to stop before. Default: everything. */
  readonly start?: number;
  readonly stop?: number;
}

/** Samples (n) or (n, channels), integers or floats with full scale at `scale`. */
export interface AudioRendering extends Tensor {
  readonly rate: number;
  readonly scale: number;
}

/** Rate, length, sample format and blocks of a sound. */
export class AudioSpec implements Spec<AudioOptions, AudioRendering> {
  readonly kind = "audio";
  readonly inputs = 1;
  /** The samples of each block, and its shares in cross-fades. */
  readonly cut: Cut;

  private constructor(
    readonly rate: number,
    readonly frames: number,
    readonly outputs: number,
    readonly format: number,
    readonly fade: number,
    /** For each block, what the values +-1 stand for, in full scales. */
    readonly gains: readonly number[],
  ) {
    this.cut = new Cut([frames], [gains.length], fade, crossfade);
  }

  get parts(): number {
    return this.gains.length;
  }

  get values(): number {
    return this.frames * this.outputs;
  }

  get valueBytes(): number {
    return bytesOf(FORMATS[this.format].dtype);
  }

  /** `MalformedError` or `UnknownIdError` for a header that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): AudioSpec {
    checkNoSide("audio", side);
    expect(header.length === 7, "audio header: expected id, rate, frames, channels, format, fade and gains");
    const [, rate, frames, channels, format, fade, gains] = header;
    expect(isWhole(rate, 1, MAX_RATE), `audio rate: expected 1 to ${MAX_RATE}`);
    expect(isWhole(frames, 1, MAX_FRAMES), `audio frames: expected 1 to ${MAX_FRAMES}`);
    expect(isWhole(channels, 1, MAX_CHANNELS), `audio channels: expected 1 to ${MAX_CHANNELS}`);
    if (!isWhole(format, 0, FORMATS.length - 1)) throw new UnknownIdError("audio format: not known to this version");
    expect(
      isList(gains) && gains.length >= 1 && gains.length <= frames,
      "audio gains: expected one number a block, and no more blocks than samples",
    );
    const most = FORMATS[format].scale > 1 ? 1 : MAX_GAIN;
    const known = gains.map((gain) => {
      expect(gain instanceof CborFloat && gain.value >= 0 && gain.value <= most, `audio gains: expected floats from 0 to ${most}`);
      return gain.value;
    });
    const { mostFade } = new Cut([frames], [known.length], 0);
    expect(isWhole(fade, 0, mostFade), `audio fade: expected 0 to ${mostFade}`);
    return new AudioSpec(rate, frames, channels, format, fade, known);
  }

  describe(): Description {
    const { name, dtype } = FORMATS[this.format];
    return {
      type: this.kind,
      shape: this.outputs === 1 ? [this.frames] : [this.frames, this.outputs],
      dtype, rate: this.rate, channels: this.outputs, format: name,
      seconds: nearest((this.frames / this.rate) * 1000) / 1000, blocks: this.parts,
    };
  }

  partsFor(options: AudioOptions): number[] {
    const { rate = this.rate } = options, [first, last] = this.range(rate, options);
    const factor = Math.ceil(this.rate / rate), reach = factor > 1 ? CROSSINGS * factor : 0;
    const [begin, end] = [first * factor - reach, (last - 1) * factor + reach].map((i) => clip(this.middle(i, rate * factor), 0, this.frames));
    const [one, other] = [begin, end].map((x) => this.cut.partsAt([Float64Array.of(x)]));
    return Array.from({ length: other[other.length - 1] + 1 - one[0] }, (_, i) => one[0] + i);
  }

  /**
   * `InputError` for seconds outside the sound or a rate far below the source's; `LimitError` before anything is
   * allocated.
   */
  *render(networks: Networks, options: AudioOptions): Steps<AudioRendering> {
    const { outputs: channels } = this, { dtype, scale } = FORMATS[this.format], rate = options.rate ?? this.rate;
    if (!isWhole(rate, 1, MAX_RATE) || !Number.isInteger(rate)) {
      throw new InputError(`rate: expected samples a second, an integer from 1 to ${MAX_RATE}`);
    }
    const [first, last] = this.range(rate, options), factor = Math.ceil(this.rate / rate);
    checkCount([last - first], networks.bounds.samples / channels, "sample");
    if (factor > MOST_FACTOR) {
      throw new InputError(`rate: expected at least ${Math.ceil(this.rate / MOST_FACTOR)}, 1/${MOST_FACTOR} of the source's`);
    }
    const out = allocate(dtype, (last - first) * channels);
    let size = networks.tile;
    if (factor > 1) {
      size = Math.max(MIN_DECIMATED, Math.floor(OVERSAMPLED / factor));
      size = Math.max(1, Math.min(size, Math.floor(MOST_OVERSAMPLED / (channels * factor))));
    }
    const kernel = lowPass(factor), reach = kernel.length >> 1;
    for (let begin = first; begin < last; begin += size) {
      const end = Math.min(begin + size, last);
      const fine = this.amplitudes(networks, begin * factor - reach, (end - 1) * factor + reach + 1, rate * factor);
      const wave = factor === 1 ? fine : decimated(fine, kernel, factor, channels, end - begin);
      this.toSamples(wave, out.subarray((begin - first) * channels, (end - first) * channels));
      yield (end - first) / (last - first);
    }
    const shape = channels === 1 ? [last - first] : [last - first, channels];
    return { rate, scale, dtype, shape, data: out };
  }

  /** Samples of amplitudes in full scales. */
  private toSamples(wave: Float64Array, out: Numbers): void {
    const { dtype, scale } = FORMATS[this.format];
    if (scale > 1) {
      for (let i = 0; i < out.length; i++) out[i] = clip(nearest(wave[i] * scale), -scale, scale - 1);
    } else {
      const most = dtype === "float32" ? MAX_GAIN : Number.MAX_VALUE;
      for (let i = 0; i < out.length; i++) out[i] = clip(wave[i], -most, most);
    }
  }

  /** Start and stop of a rendering, in samples at a rate. */
  private range(rate: number, { start = 0, stop }: AudioOptions): [number, number] {
    const seconds = this.frames / this.rate, end = stop ?? seconds;
    // The duration is told with three decimals, so that the rounded value must be accepted.
    if (!(0 <= start && start < end && end <= seconds + 0.0005)) {
      throw new InputError(`start ${start}, stop ${end}: expected 0 <= start < stop <= ${seconds.toFixed(3)} seconds`);
    }
    const count = Math.max(1, nearest((this.frames * rate) / this.rate));
    const first = Math.min(nearest(start * rate), count - 1);
    return [first, stop === undefined ? count : Math.max(first + 1, Math.min(nearest(end * rate), count))];
  }

  /** The centre of a sample at a rate on the source's axis, where sample i spans [i, i + 1). */
  private middle(sample: number, rate: number): number {
    return sample * (this.rate / rate) + 0.5;
  }

  /** Amplitudes (n, channels) in full scales of samples first .. last - 1 at a rate; 0 outside the sound. */
  private amplitudes(networks: Networks, first: number, last: number, rate: number): Float64Array {
    const { cut, gains, outputs: channels, frames } = this, out = new Float64Array((last - first) * channels);
    const middle = Float64Array.from({ length: last - first }, (_, i) => this.middle(first + i, rate));
    let begin = 0, end = middle.length;
    while (begin < end && middle[begin] <= 0) begin++;
    while (end > begin && middle[end - 1] >= frames + 0.5) end--;
    if (begin === end) return out;
    for (const stretch of cut.stretches(0, middle.subarray(begin, end))) {
      for (let from = begin + stretch.first; from < begin + stretch.last; from += networks.tile) {
        const some = middle.subarray(from, Math.min(from + networks.tile, begin + stretch.last));
        for (const block of stretch.blocks) {
          const values = networks.part(block).at(cut.coordinates(0, block, some), some.length);
          const shares = cut.shares(0, block, some);
          for (let i = 0, at = 0, to = from * channels; i < some.length; i++) {
            const factor = shares[i] * gains[block];
            for (let channel = 0; channel < channels; channel++, at++, to++) {
              const value = values[at];
              out[to] += factor * (Number.isNaN(value) ? 0 : clip(value, -2, 2));
            }
          }
        }
      }
    }
    return out;
  }
}

/** How sounds are read. */
export const SOUNDS: Reader<AudioSpec> = {
  partsIn: (header) => AudioSpec.read(header, new Uint8Array()).parts,
  read: AudioSpec.read,
};

/** The channels of a rendering as floats with full scale at 1, one array each, as audio interfaces take them. */
export function planesOf({ data, shape, scale }: AudioRendering): Float32Array[] {
  const channels = shape[1] ?? 1, numbers = data as Float64Array;
  return Array.from({ length: channels }, (_, channel) =>
    Float32Array.from({ length: shape[0] }, (_, i) => numbers[i * channels + channel] / scale));
}

/** A raised cosine over `fade` samples on either side of a seam. */
function crossfade(distance: number, fade: number): number {
  return fade === 0 ? Number(distance >= 0) : 0.5 + 0.5 * Math.sin(clip(distance / fade, -1, 1) * (Math.PI / 2));
}

/** A windowed sinc with the sum 1; a single 1 without decimation. */
function lowPass(factor: number): Float64Array {
  if (factor === 1) return Float64Array.of(1);
  const reach = CROSSINGS * factor, kernel = new Float64Array(2 * reach + 1);
  let sum = 0;
  for (let i = 0; i < kernel.length; i++) {
    const x = ((i - reach) * CUTOFF * Math.PI) / factor, ratio = (i - reach) / reach;
    kernel[i] = (x === 0 ? 1 : Math.sin(x) / x) * bessel(KAISER * Math.sqrt(1 - ratio * ratio));
    sum += kernel[i];
  }
  return kernel.map((weight) => weight / sum);
}

/** The modified Bessel function of the first kind of order 0. */
function bessel(x: number): number {
  let term = 1, sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function decimated(fine: Float64Array, kernel: Float64Array, factor: number, channels: number, count: number): Float64Array {
  const out = new Float64Array(count * channels);
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (let k = 0, at = i * factor * channels + channel; k < kernel.length; k++, at += channels) sum += kernel[k] * fine[at];
      out[i * channels + channel] = sum;
    }
  }
  return out;
}
