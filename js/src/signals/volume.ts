/** Volumes (docs/format-signals.md, "Volumes"): samples on a grid of three or four axes. */

import type { Cbor } from "../container/cbor";
import { inflate } from "../coding/inflate";
import { UnknownIdError } from "../errors";
import type { Tensor } from "../tensor";
import { Cut } from "./blocks";
import { areWhole, expect, isList, isWhole, MAX_SIDE } from "./checks";
import { bytesOf, describeCut, partsIn, renderWindow, samplesOf, valuesOf } from "./grids";
import { Levels } from "./levels";
import type { Networks, Steps } from "./networks";
import { niftiOf } from "./nifti";
import { windowOf, type WindowOptions } from "./spans";
import type { Description, Reader, Spec } from "./spec";
import { zarrOf } from "./zarr";

const VOLUME = 2;
const VOLUME_IN_BLOCKS = 8;
const MAX_CHANNELS = 64;
// The side section, unpacked.
const MOST_SIDE = 2 ** 24;
const FREE_SIDE = 2 ** 20;
const SIDE_A_BYTE = 2 ** 8;

/** Formats of sources by id, and what their side section holds. */
const FORMATS = [
  { name: ".npy" }, { name: ".npz" }, { name: ".nii", side: "nifti" }, { name: ".nii.gz", side: "nifti" },
  { name: ".zarr", side: "zarr" }, { name: ".zarr.zip", side: "zarr" }, { name: ".tif" },
  { name: ".zarr", side: "extended" }, { name: ".zarr.zip", side: "extended" },
] as const satisfies readonly { name: string; side?: string }[];

/** A volume, its sizes and then its channels if it has such an axis. */
export interface VolumeRendering extends Tensor {
  /** (step, offset) by axis: sample i lies at the source's voxel step i + offset. */
  readonly placement: readonly (readonly [number, number])[];
  /** Samples to show as black and white, the same for all parts of a volume. */
  readonly range: readonly [number, number];
}

/** Shape, sample type and metadata of a volume. */
export class VolumeSpec implements Spec<WindowOptions, VolumeRendering> {
  readonly kind = "volume";

  private constructor(
    readonly sizes: readonly number[],
    /** Length of the channel axis; 0 without one. */
    readonly channels: number,
    readonly format: string,
    readonly levels: Levels,
    /** The bytes of the side section, unpacked: a NIfTI header, or JSON of a zarr array. */
    readonly metadata: Uint8Array,
    /** Voxel size along each axis in the unit of the source; 1 where it is unknown. */
    readonly spacing: readonly number[],
    readonly cut: Cut | undefined,
  ) {}

  get inputs(): number {
    return this.sizes.length;
  }

  get outputs(): number {
    return this.channels || 1;
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

  /** `MalformedError`, `UnknownIdError` or `TruncatedError` for a header or a side section that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): VolumeSpec {
    const { sizes, channels, format, levels, cut } = entriesOf(header);
    const { name, side: content } = { side: undefined, ...FORMATS[format] };
    const metadata = side.length === 0 ? side : unpacked(side);
    const shape = channels > 0 ? [...sizes, channels] : sizes;
    let spacing: readonly number[] = [];
    if (content === "nifti") {
      spacing = niftiOf(metadata, shape, levels.dtype);
    } else if (content !== undefined) {
      const zarr = zarrOf(metadata, shape.length, sizes.length);
      expect(zarr.isExtended === (content === "extended"), `volume format ${format}: does not go with the metadata`);
      spacing = zarr.spacing;
    } else {
      expect(metadata.length === 0, `volume from ${name}: expected no side section`);
    }
    const known = sizes.map((_, axis) => {
      const length = Math.abs(spacing[axis] ?? 1);
      return length > 0 && length < Infinity ? length : 1;
    });
    return new VolumeSpec(sizes, channels, name, levels, metadata, known, cut);
  }

  describe(): Description {
    const { dtype, low, high } = this.levels;
    return {
      type: this.kind, shape: this.channels > 0 ? [...this.sizes, this.channels] : this.sizes, dtype,
      channels: this.channels, range: [low, high], format: this.format, spacing: this.spacing, ...describeCut(this.cut),
    };
  }

  partsFor(options: WindowOptions): number[] {
    return partsIn(windowOf(this.sizes, options, "voxel"), this.cut);
  }

  /** `InputError` for options that leave no sample; `LimitError` before anything is allocated. */
  *render(networks: Networks, options: WindowOptions): Steps<VolumeRendering> {
    const window = windowOf(this.sizes, options, "voxel");
    const { data, lengths } = yield* renderWindow(networks, this, samplesOf(this.levels, this.outputs), window, "voxel");
    const placement = window.spans.map(({ start, stop, count, first }) => {
      const step = (stop - start) / count;
      return [step, (first + 0.5) * step + start - 0.5] as const;
    });
    const { dtype, low, high } = this.levels, shape = this.channels > 0 ? [...lengths, this.channels] : lengths;
    return { placement, range: [low, high], dtype, shape, data };
  }
}

/** How volumes are read. */
export const VOLUMES: Reader<VolumeSpec> = {
  partsIn: (header) => (header[0] === VOLUME ? 1 : entriesOf(header).cut!.parts),
  read: VolumeSpec.read,
};

/** The entries of a header, without what the side section holds. */
function entriesOf(header: readonly Cbor[]) {
  const inBlocks = header[0] === VOLUME_IN_BLOCKS;
  expect(header.length === (inBlocks ? 7 : 5), "volume header: expected id, sizes, channels, format, levels, and perhaps blocks and fade");
  const [, sizes, channels, format, entry, blocks, fade] = header;
  expect(
    areWhole(sizes, 3, 1, MAX_SIDE) || areWhole(sizes, 4, 1, MAX_SIDE),
    `volume sizes: expected three or four from 1 to ${MAX_SIDE}`,
  );
  expect(isWhole(channels, 0, MAX_CHANNELS), `volume channels: expected 0 to ${MAX_CHANNELS}`);
  expect(isWhole(format, 0, Infinity), "volume format: expected a number");
  if (format >= FORMATS.length) throw new UnknownIdError(`volume format ${format}: not known to this version`);
  const levels = Levels.of(entry);
  let cut: Cut | undefined;
  if (inBlocks) {
    expect(isList(blocks) && blocks.length === sizes.length, "volume blocks: expected a number for each axis");
    cut = Cut.of(sizes, blocks, fade);
  }
  return { sizes: sizes as number[], channels, format, levels, cut };
}

function unpacked(side: Uint8Array): Uint8Array {
  const most = Math.min(MOST_SIDE, FREE_SIDE + SIDE_A_BYTE * side.length);
  const metadata = inflate(side, most, "volume side");
  expect(metadata.length > 0 && metadata.length <= most, `volume side: expected 1 to ${most} bytes, unpacked`);
  return metadata;
}
