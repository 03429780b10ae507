/** Pictures (docs/format.md, section 5; format-signals.md, "Pictures in blocks"). */

import type { Cbor } from "../container/cbor";
import { UnknownIdError } from "../errors";
import type { DType, Numbers, Tensor } from "../tensor";
import { Cut } from "./blocks";
import { checkNoSide, checkSides, expect, isList, isWhole } from "./checks";
import { bytesOf, describeCut, partsIn, renderWindow, samplesOf, valuesOf } from "./grids";
import { checkedRange, DTYPES, Levels } from "./levels";
import type { Networks, Steps } from "./networks";
import type { Values } from "./numbers";
import type { Samples } from "./rendering";
import { CENTRES, type Grid, windowOf, type WindowOptions } from "./spans";
import type { Description, Reader, Spec } from "./spec";

const IMAGE = 0;
const IMAGE_IN_BLOCKS = 7;

const EXACT_BIT = 256; // of a mode: the last entry of the header tells what is known of channels
const ARRAYS = 64; // modes from here on are arrays of a dtype and a number of channels
const ARRAY_DTYPES = 6; // the first of `DTYPES`

/** Name, dtype and channels of a mode. */
interface Mode {
  readonly name: string;
  readonly dtype: DType;
  readonly channels: number;
}

const MODES: readonly Mode[] = ([
  ["RGB", "uint8", 3], ["L", "uint8", 1], ["RGBA", "uint8", 4], ["LA", "uint8", 2], ["1", "bool", 1],
  ["P", "uint8", 3], ["P", "uint8", 4], ["I;16", "uint16", 1], ["I", "int32", 1], ["F", "float32", 1],
  ["CMYK", "uint8", 4], ["YCbCr", "uint8", 3], ["LAB;signed", "uint8", 3], ["HSV", "uint8", 3], ["LAB", "uint8", 3],
  ["RGB;16", "uint16", 3], ["RGBA;16", "uint16", 4], ["LA;16", "uint16", 2],
] as const).map(([name, dtype, channels]) => ({ name, dtype, channels }));

const WIDE = new Set(["RGB;16", "RGBA;16", "LA;16"]); // colours, whose range is that of the dtype

/** What is known of a channel: nothing, the value of all samples, or the only two values. */
export type Known = null | number | readonly [number, number];

/** Options of pictures: axes are rows and columns. */
export interface ImageOptions extends WindowOptions {}

/** A picture, (height, width) or (height, width, channels). */
export interface ImageRendering extends Tensor {
  readonly mode: string;
  /** Samples to show as black and white, the same for all parts of a picture. */
  readonly range: readonly [number, number];
}

/** Shape, sample type and conventions of a picture. */
export class ImageSpec implements Spec<ImageOptions, ImageRendering> {
  readonly kind = "image";
  readonly inputs = 2;

  private constructor(
    readonly height: number,
    readonly width: number,
    /** Pillow's mode; "array" and "plane" for arrays with and without a channel axis. */
    readonly mode: string,
    readonly outputs: number,
    readonly levels: Levels,
    /** Colours of the source's palette; 0 for none. */
    readonly colours: number,
    readonly grid: Grid,
    /** By channel; empty where nothing is known. */
    readonly known: readonly Known[],
    readonly cut: Cut | undefined,
  ) {}

  get sizes(): readonly number[] {
    return [this.height, this.width];
  }

  get parts(): number {
    return this.cut?.parts ?? 1;
  }

  get values(): number {
    return valuesOf(this.sizes, this.outputs);
  }

  get valueBytes(): number {
    return bytesOf(this.levels.dtype);
  }

  /** `MalformedError` or `UnknownIdError` for a header that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): ImageSpec {
    checkNoSide("image", side);
    const inBlocks = header[0] === IMAGE_IN_BLOCKS, start = inBlocks ? 7 : 5;
    expect(header.length >= start, "image header: expected id, height, width, mode, and a grid, or blocks and fade");
    const [, height, width, number] = header;
    checkSides("image", { height, width });
    const hasKnown = isWhole(number, 0, Infinity) && (number & EXACT_BIT) !== 0;
    const { name, dtype, channels } = modeOf(hasKnown ? number - EXACT_BIT : number);
    const rest = header.slice(start);
    const known = hasKnown ? knownOf(rest.pop(), dtype, channels) : [];
    const grid = inBlocks ? CENTRES : gridOf(header[4]);
    let levels = new Levels(dtype, 0, dtype === "bool" ? 1 : 255), colours = 0;
    if (dtype !== "uint8" && dtype !== "bool") {
      levels = new Levels(dtype, ...checkedRange(rest, dtype));
    } else if (name === "P") {
      expect(rest.length === 1 && isWhole(rest[0], 1, 256), "image palette: expected its size from 1 to 256");
      colours = rest[0] as number;
    } else {
      expect(rest.length === 0, `image header: ${rest.length} unexpected trailing values`);
    }
    const sizes = [height, width] as number[];
    const cut = inBlocks ? Cut.of(sizes, header.slice(4, 6), header[6]) : undefined;
    return new ImageSpec(sizes[0], sizes[1], name, channels, levels, colours, grid, known, cut);
  }

  describe(): Description {
    const { height, width, mode, levels, outputs } = this;
    const shape = this.isFlat ? [height, width] : [height, width, outputs];
    return { type: this.kind, shape, dtype: levels.dtype, mode, ...describeCut(this.cut) };
  }

  partsFor(options: ImageOptions): number[] {
    return partsIn(windowOf(this.sizes, options, "pixel"), this.cut);
  }

  /** `InputError` for options that leave no sample; `LimitError` before anything is allocated. */
  *render(networks: Networks, options: ImageOptions): Steps<ImageRendering> {
    const window = windowOf(this.sizes, options, "pixel");
    const { data, lengths } = yield* renderWindow(networks, this, this.samples, window, "pixel");
    const shape = this.isFlat ? lengths : [...lengths, this.outputs];
    const { mode, levels: { dtype, low, high } } = this;
    return { mode, range: WIDE.has(mode) ? [0, 65535] : [low, high], dtype, shape, data };
  }

  private get isFlat(): boolean {
    return this.outputs === 1 && this.mode !== "array";
  }

  private get samples(): Samples {
    const { known, outputs, levels } = this, plain = samplesOf(levels, outputs);
    if (known.length === 0) return plain;
    return {
      ...plain,
      finish(values: Values, samples: Numbers): void {
        levels.toSamples(values, samples);
        known.forEach((each, channel) => {
          if (each === null) return;
          const [below, above] = typeof each === "number" ? [each, each] : each, middle = (below + above) / 2;
          for (let i = channel; i < samples.length; i += outputs) samples[i] = (samples[i] as number) > middle ? above : below;
        });
      },
    };
  }
}

/** How pictures are read. */
export const IMAGES: Reader<ImageSpec> = {
  partsIn: (header) => (header[0] === IMAGE ? 1 : ImageSpec.read(header, new Uint8Array()).parts),
  read: ImageSpec.read,
};

function modeOf(number: Cbor): Mode {
  if (isWhole(number, 0, MODES.length - 1)) return MODES[number];
  if (isWhole(number, ARRAYS, ARRAYS + 8 * ARRAY_DTYPES - 1) && number % 8 <= 4) {
    const channels = number % 8, dtype = DTYPES[(number - ARRAYS - channels) / 8];
    return { name: channels > 0 ? "array" : "plane", dtype, channels: channels || 1 };
  }
  throw new UnknownIdError("image mode: not known to this version");
}

function gridOf(number: Cbor): Grid {
  expect(isWhole(number, 0, 7), "image grid: expected an integer from 0 to 7");
  return { corners: (number & 1) !== 0, aspect: (number & 2) !== 0, columnFirst: (number & 4) !== 0 };
}

function knownOf(entry: Cbor | undefined, dtype: DType, channels: number): Known[] {
  const most = dtype === "uint8" ? 255 : dtype === "uint16" ? 65535 : -1;
  expect(
    isList(entry) && entry.length === channels && entry.some((each) => each !== null),
    `image channels: expected what is known of ${channels}`,
  );
  return entry.map((each) => {
    if (each === null || isWhole(each, 0, most)) return each;
    expect(isList(each) && each.length === 2, `image channel: expected samples of ${dtype}`);
    const [below, above] = each;
    expect(isWhole(below, 0, most) && isWhole(above, 0, most), `image channel: expected samples of ${dtype}`);
    expect(below < above, "image channel: expected two different samples");
    return [below, above];
  });
}
