/** Volumes as NIfTI files, which other programs open (docs/format-signals.md, "NIfTI header"). */

import { DATATYPES } from "../src/signals/nifti";
import type { VolumeSpec } from "../src/signals/volume";
import { bytesOf, type DType, fromHalf, sizeOf, type Tensor } from "../src/tensor";

const FIRST = 348, PLAIN = FIRST + 4; // bytes of a NIfTI-1 header, and with the mark that no extensions follow
const LONGEST = 2 ** 15 - 1; // its largest size of an axis
const ALIGNED = 2; // its code for an affine into some space

/**
 * The bytes of a `.nii` file with a whole volume: the header of the source where that was NIfTI, else a plain one with the
 * voxel sizes. Samples are the stored ones, the first axis fastest.
 */
export function niftiFile(spec: VolumeSpec, samples: Tensor): Uint8Array<ArrayBuffer> {
  const { dtype, shape, data } = typed(samples), isNifti = spec.format.startsWith(".nii");
  const header = isNifti ? spec.metadata : plainHeader(spec, dtype, shape), width = bytesOf(dtype);
  const bytes = new Uint8Array(header.length + data.byteLength), view = new DataView(bytes.buffer);
  bytes.set(header);
  const little = [FIRST, 540].includes(view.getInt32(0, true));
  // The header of a file may have named another place, as one of a pair of files does.
  if (view.getInt32(0, little) === FIRST) view.setFloat32(108, header.length, little);
  else view.setBigInt64(168, BigInt(header.length), little);
  const from = new Uint8Array(data.buffer, data.byteOffset, data.byteLength), strides = shape.map((_, axis) => width * sizeOf(shape.slice(axis + 1)));
  const place = shape.map(() => 0);
  for (let to = header.length, at = 0; to < bytes.length; to += width) {
    for (let k = 0; k < width; k++) bytes[to + k] = from[at + (little ? k : width - 1 - k)];
    for (let axis = 0; axis < shape.length; axis++) {
      at += strides[axis];
      if (++place[axis] < shape[axis]) break;
      at -= shape[axis] * strides[axis];
      place[axis] = 0;
    }
  }
  return bytes;
}

/** Samples in a type that NIfTI has. */
function typed({ dtype, shape, data }: Tensor): Tensor {
  if (dtype === "float16") return { dtype: "float32", shape, data: Float32Array.from(data as Uint16Array, fromHalf) };
  return { dtype: dtype === "bool" ? "uint8" : dtype, shape, data };
}

function plainHeader({ spacing }: VolumeSpec, dtype: DType, shape: readonly number[]): Uint8Array {
  if (Math.max(...shape) > LONGEST) throw new Error(`NIfTI: an axis of ${Math.max(...shape)} samples, expected at most ${LONGEST}`);
  const view = new DataView(new ArrayBuffer(PLAIN)), code = Number(Object.keys(DATATYPES).find((key) => DATATYPES[Number(key)] === dtype));
  view.setInt32(0, FIRST, true);
  [shape.length, ...shape, ...Array<number>(7 - shape.length).fill(1)].forEach((n, i) => view.setInt16(40 + 2 * i, n, true));
  view.setInt16(70, code, true);
  view.setInt16(72, 8 * bytesOf(dtype), true);
  [1, ...Array.from({ length: 7 }, (_, axis) => spacing[axis] ?? 1)].forEach((length, i) => view.setFloat32(76 + 4 * i, length, true));
  view.setFloat32(112, 1, true); // the slope of the scaling
  view.setInt16(254, ALIGNED, true);
  for (let axis = 0; axis < 3; axis++) view.setFloat32(280 + 20 * axis, spacing[axis], true);
  new TextEncoder().encodeInto("n+1", new Uint8Array(view.buffer, 344));
  return new Uint8Array(view.buffer);
}
