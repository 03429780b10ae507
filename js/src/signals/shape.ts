/** Shapes (docs/format-signals.md, "Shapes"): the level of a solid on a grid of voxels, perhaps with colours. */

import type { Cbor } from "../container/cbor";
import { InputError, UnknownIdError } from "../errors";
import { fromHalf, type Tensor } from "../tensor";
import { Cut } from "./blocks";
import { areWhole, checkNoSide, expect, floatsOf, isWhole } from "./checks";
import { describeCut, partsIn, renderWindow, valuesOf } from "./grids";
import { toHalf } from "./levels";
import type { Networks, Steps } from "./networks";
import { nearest } from "./numbers";
import type { Samples } from "./rendering";
import { type Window, windowOf, type WindowOptions } from "./spans";
import type { Description, Reader, Spec } from "./spec";

const SHAPE = 5;
const MAX_SIDE = 65536;
const MAX_BAND = 131072;
const VARIANTS = ["occupancy", "sdf", "coloured"] as const;

export interface ShapeOptions extends WindowOptions {
  /** Voxels along the longest side of the whole, instead of `scale`. */
  readonly resolution?: number;
}

/** Samples of the level on a grid of voxels, (x, y, z) in C order. */
export interface ShapeRendering {
  /** float32 in [-1, 1], positive inside. */
  readonly level: Tensor;
  /** uint8 (x, y, z, 3), RGB, defined near the surface; only of coloured shapes. */
  readonly colours: Tensor | undefined;
  /** The outer corner of voxel (0, 0, 0) and the sides of a voxel, in the units of the source. */
  readonly origin: readonly number[];
  readonly spacing: readonly number[];
  /** Distance at level 1 in the units of the source; 0 where the level is not a distance. */
  readonly band: number;
}

/** Grid and variant of a shape. */
export class ShapeSpec implements Spec<ShapeOptions, ShapeRendering> {
  readonly kind = "shape";
  readonly inputs = 3;
  readonly valueBytes = 4;

  private constructor(
    readonly sizes: readonly number[],
    readonly variant: (typeof VARIANTS)[number],
    readonly isMesh: boolean,
    /** Voxels from the surface at which the level reaches 1; 0 for a step. */
    readonly band: number,
    /** Side of a voxel, and the outer corner of voxel (0, 0, 0), in the units of the source. */
    readonly voxel: number,
    readonly origin: readonly number[],
    readonly cut: Cut | undefined,
  ) {}

  get outputs(): number {
    return this.variant === "coloured" ? 4 : 1;
  }

  get parts(): number {
    return this.cut?.parts ?? 1;
  }

  get values(): number {
    return valuesOf(this.sizes, this.outputs);
  }

  /** `MalformedError` or `UnknownIdError` for a header that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): ShapeSpec {
    const inBlocks = header[0] !== SHAPE;
    expect(
      header.length === (inBlocks ? 15 : 11),
      "shape header: expected id, variant, source, three sizes, five numbers, and perhaps blocks along three axes and fade",
    );
    checkNoSide("shape", side);
    const [, number, source] = header, sizes = header.slice(3, 6), numbers = floatsOf(header.slice(6, 11), 5);
    if (!isWhole(number, 0, VARIANTS.length - 1)) throw new UnknownIdError("shape variant: not known to this version");
    expect(isWhole(source, 0, 1), "shape source: expected 0 (volume) or 1 (mesh)");
    expect(areWhole(sizes, 3, 1, MAX_SIDE), `shape: expected three sizes from 1 to ${MAX_SIDE}`);
    expect(numbers !== undefined, "shape: expected five finite numbers");
    const [band, voxel, ...origin] = numbers, variant = VARIANTS[number];
    expect(
      band <= MAX_BAND && (band > 0 || (band === 0 && variant === "occupancy")),
      `shape band: expected voxels above 0 to ${MAX_BAND}`,
    );
    expect(voxel > 0, "shape voxel: expected a side above 0");
    const cut = inBlocks ? Cut.of(sizes, header.slice(11, 14), header[14]) : undefined;
    return new ShapeSpec(sizes, variant, source === 1, band, voxel, origin, cut);
  }

  describe(): Description {
    const dtype = { occupancy: "bool", sdf: "float32", coloured: "uint8" }[this.variant];
    return {
      type: this.kind, shape: this.sizes, dtype, variant: this.variant, band_voxels: this.band, origin: this.origin,
      voxel: this.voxel, source: this.isMesh ? "mesh" : "volume", ...describeCut(this.cut),
    };
  }

  partsFor(options: ShapeOptions): number[] {
    return partsIn(this.window(options), this.cut);
  }

  /** `InputError` for options that leave no sample; `LimitError` before anything is allocated. */
  *render(networks: Networks, options: ShapeOptions): Steps<ShapeRendering> {
    const { outputs } = this, samples: Samples = {
      values: outputs,
      allocate: (count) => new Float32Array(count),
      finish(values, out) {
        // With colours, values are in half precision.
        const rounded = outputs > 1 ? (x: number) => fromHalf(toHalf(x)) : (x: number) => x;
        for (let i = 0; i < out.length; i++) out[i] = rounded(toLevel(values[i]));
      },
      clip: toLevel,
    };
    const window = this.window(options);
    const { data, lengths } = yield* renderWindow(networks, this, samples, window, "voxel");
    const steps = window.spans.map(({ start, stop, count }) => (stop - start) / count);
    const found = data as Float32Array;
    return {
      level: { dtype: "float32", shape: lengths, data: outputs === 1 ? found : found.filter((_, i) => i % outputs === 0) },
      colours: outputs === 1 ? undefined : { dtype: "uint8", shape: [...lengths, 3], data: coloursOf(found) },
      origin: window.spans.map(({ start, first }, axis) => this.origin[axis] + this.voxel * (start + first * steps[axis])),
      spacing: steps.map((step) => this.voxel * step),
      band: this.band * this.voxel,
    };
  }

  private window({ resolution, scale, ...rest }: ShapeOptions): Window {
    if (resolution !== undefined) {
      if (scale !== undefined || rest.size !== undefined) throw new InputError("resolution, scale and size: expected one of them");
      if (!Number.isInteger(resolution) || resolution < 1) throw new InputError("resolution: expected an integer of at least 1");
      scale = resolution / Math.max(...this.sizes);
    }
    return windowOf(this.sizes, { ...rest, scale }, "voxel");
  }
}

/** How shapes are read. */
export const SHAPES: Reader<ShapeSpec> = {
  partsIn: (header) => (header[0] === SHAPE ? 1 : ShapeSpec.read(header, new Uint8Array()).parts),
  read: ShapeSpec.read,
};

/** Whether each voxel's centre is inside, bool. */
export function occupancyOf({ level }: ShapeRendering): Tensor {
  return { dtype: "bool", shape: level.shape, data: Uint8Array.from(level.data as Float32Array, (value) => Number(value > 0)) };
}

/** Signed distance to the surface in the units of the source, negative inside, truncated at the band; float32. */
export function distancesOf({ level, band }: ShapeRendering): Tensor {
  return { dtype: "float32", shape: level.shape, data: (level.data as Float32Array).map((value) => value * Math.fround(-band)) };
}

/** A value limited to [-1, 1]; NaN, from a damaged network, counts as outside. */
function toLevel(value: number): number {
  return value > -1 ? (value < 1 ? value : 1) : -1;
}

function coloursOf(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 4) * 3);
  for (let from = 0, to = 0; from < values.length; from += 4) {
    for (let channel = 1; channel <= 3; channel++) out[to++] = nearest(Math.fround(Math.fround(values[from + channel] + 1) * 127.5));
  }
  return out;
}
