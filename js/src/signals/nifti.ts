/** NIfTI headers of volumes (docs/format-signals.md, "NIfTI header"). */

import { MalformedError } from "../errors";
import type { DType } from "../tensor";
import { expect } from "./checks";

/** Datatype codes (nifti1.h of the NIfTI Data Format Working Group). */
export const DATATYPES: Readonly<Record<number, DType>> = {
  2: "uint8", 4: "int16", 8: "int32", 16: "float32", 64: "float64", 256: "int8", 512: "uint16", 768: "uint32",
  1024: "int64", 1280: "uint64",
};

/**
 * Voxel sizes by axis of a NIfTI-1 or NIfTI-2 header.
 *
 * @throws MalformedError for other bytes, and for a header of another shape, but for ones behind it, or another dtype.
 */
export function niftiOf(data: Uint8Array, shape: readonly number[], dtype: DType): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (const little of [true, false]) {
    for (const second of [false, true]) {
      const size = second ? 540 : 348;
      if (data.length < size + 4 || view.getInt32(0, little) !== size) continue;
      const number = (i: number): number => (second ? Number(view.getBigInt64(16 + 8 * i, little)) : view.getInt16(40 + 2 * i, little));
      const axes = number(0), found = DATATYPES[view.getInt16(second ? 12 : 70, little)];
      if (!(axes >= 1 && axes <= 7) || found === undefined) break;
      const sizes = Array.from({ length: axes }, (_, axis) => number(axis + 1));
      const agrees = sizes.length >= shape.length && sizes.every((n, axis) => n === (shape[axis] ?? 1));
      expect(agrees, `volume: the NIfTI header is of shape ${sizes.join(" x ")}, expected ${shape.join(" x ")}`);
      expect(found === dtype, `volume: the NIfTI header is of ${found}, expected ${dtype}`);
      return sizes.map((_, axis) => (second ? view.getFloat64(112 + 8 * axis, little) : view.getFloat32(80 + 4 * axis, little)));
    }
  }
  throw new MalformedError("volume: expected a NIfTI header in the side section");
}
