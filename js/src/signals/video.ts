/** Videos (docs/format-signals.md, "Videos"): functions of time, row and column. */

import type { Cbor } from "../container/cbor";
import { InputError } from "../errors";
import type { Tensor } from "../tensor";
import { Cut } from "./blocks";
import { checkNoSide, checkSides, expect } from "./checks";
import { describeCut, partsIn, renderWindow, samplesOf, valuesOf } from "./grids";
import { Levels } from "./levels";
import type { Networks, Steps } from "./networks";
import { factorsOf, tileOf, wholeOf, type Window, type WindowOptions } from "./spans";
import type { Description, Reader, Spec } from "./spec";

const VIDEO = 4;
const LEVELS = new Levels("uint8", 0, 255);

/** Options of videos: axes are time, rows and columns; `scale` and `size` are for rows and columns alone. */
export interface VideoOptions extends WindowOptions {
  /** Frames a second of the result, which lasts as long. Default: the source's. */
  readonly fps?: number;
}

/** Frames, uint8 (frames, height, width) or (frames, height, width, 3). */
export interface VideoRendering extends Tensor {
  readonly fps: number;
}

/** Size and frame rate of a clip. */
export class VideoSpec implements Spec<VideoOptions, VideoRendering> {
  readonly kind = "video";
  readonly inputs = 3;
  readonly valueBytes = 1;

  private constructor(
    readonly frames: number,
    readonly height: number,
    readonly width: number,
    /** 1 grey, 3 RGB. */
    readonly outputs: number,
    readonly fps: number,
    readonly cut: Cut | undefined,
  ) {}

  get sizes(): readonly number[] {
    return [this.frames, this.height, this.width];
  }

  get parts(): number {
    return this.cut?.parts ?? 1;
  }

  get values(): number {
    return valuesOf(this.sizes, this.outputs);
  }

  /** `MalformedError` for a header that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): VideoSpec {
    checkNoSide("video", side);
    const inBlocks = header[0] !== VIDEO;
    expect(
      header.length === (inBlocks ? 11 : 7) && header.every((each) => typeof each === "number"),
      "video header: expected id, frames, height, width, channels and rate, and perhaps blocks and fade, all integers",
    );
    const [, frames, height, width, channels, numerator, denominator] = header as number[];
    checkSides("video", { frames, height, width, rate: numerator, "rate's divisor": denominator });
    expect(channels === 1 || channels === 3, "video channels: expected 1 or 3");
    expect(divisor(numerator, denominator) === 1, "video rate: expected a fraction in lowest terms");
    const cut = inBlocks ? Cut.of([frames, height, width], header.slice(7, 10), header[10]) : undefined;
    return new VideoSpec(frames, height, width, channels, numerator / denominator, cut);
  }

  describe(): Description {
    const shape = this.outputs === 3 ? [...this.sizes, 3] : this.sizes;
    return { type: this.kind, shape, dtype: "uint8", fps: this.fps, ...describeCut(this.cut) };
  }

  partsFor(options: VideoOptions): number[] {
    return partsIn(this.window(options), this.cut);
  }

  /** `InputError` for options that leave no sample; `LimitError` before anything is allocated. */
  *render(networks: Networks, options: VideoOptions): Steps<VideoRendering> {
    const window = this.window(options);
    const samples = samplesOf(LEVELS, this.outputs);
    const { data, lengths } = yield* renderWindow(networks, this, samples, window, "pixel");
    return { fps: options.fps ?? this.fps, dtype: "uint8", shape: this.outputs === 3 ? [...lengths, 3] : lengths, data };
  }

  private window({ fps = this.fps, scale, size, region, tile }: VideoOptions): Window {
    if (!(fps > 0 && fps < Infinity)) throw new InputError("fps: expected frames a second, a number above 0");
    if (size !== undefined && scale !== undefined) throw new InputError("scale and size: expected one of them, not both");
    const factors = [fps / this.fps, ...factorsOf(scale ?? 1, 2)];
    let whole = wholeOf(this.sizes, { region, scale: factors }, "pixel");
    if (size !== undefined) {
      // Frames follow from the rate alone.
      const [, ...across] = wholeOf(this.sizes, { region, size: [1, ...size] }, "pixel");
      whole = [whole[0], ...across];
    }
    return tileOf(whole, tile);
  }
}

/** How videos are read. */
export const VIDEOS: Reader<VideoSpec> = {
  partsIn: (header) => (header[0] === VIDEO ? 1 : VideoSpec.read(header, new Uint8Array()).parts),
  read: VideoSpec.read,
};

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
