/** The linear map between samples of a dtype and values in [-1, 1] (docs/format-signals.md, `levels`; format.md, 5). */

import { type Cbor, CborFloat } from "../container/cbor";
import { bitsOf } from "../coding/elements";
import { MalformedError } from "../errors";
import type { DType, Numbers } from "../tensor";
import { isList, isWhole } from "./checks";
import { clip, nearest, toUnit, type Values } from "./numbers";

/** Sample types of signals; a file stores the index. */
export const DTYPES: readonly DType[] = [
  "uint8", "bool", "uint16", "int32", "float32", "float64", "int8", "int16", "uint32", "int64", "uint64", "float16",
];

const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  uint8: [0, 255], bool: [0, 1], uint16: [0, 65535], int32: [-(2 ** 31), 2 ** 31 - 1], int8: [-128, 127],
  int16: [-32768, 32767], uint32: [0, 2 ** 32 - 1], int64: [-(2 ** 63), 2 ** 63], uint64: [0, 2 ** 64],
  float16: [-65504, 65504], float32: [-3.4028234663852886e38, 3.4028234663852886e38],
  float64: [-Number.MAX_VALUE, Number.MAX_VALUE],
};

/** Whether a dtype has floats. */
export function isFloat(dtype: DType): boolean {
  return dtype.startsWith("float");
}

/** Least and largest number of a sample type, as the ends of a range are stored. */
export function rangeOf(dtype: DType): readonly [number, number] {
  return RANGES[dtype]!;
}

/** Samples of `dtype` in [low, high], which map to -1 and 1. */
export class Levels {
  constructor(readonly dtype: DType, readonly low: number, readonly high: number) {}

  /** The entry [dtype, low, high] of a header; `MalformedError` for anything else. */
  static of(entry: Cbor | undefined): Levels {
    if (!isList(entry) || entry.length !== 3 || !isWhole(entry[0], 0, DTYPES.length - 1)) {
      throw new MalformedError("levels: expected [dtype, low, high]");
    }
    const dtype = DTYPES[entry[0]];
    return new Levels(dtype, ...checkedRange(entry.slice(1), dtype));
  }

  /** Samples of values, as many as `samples` holds: limited to [low, high], integers rounded half to even. */
  toSamples(values: Values, samples: Numbers): void {
    const { dtype, low, high } = this, count = samples.length, half = (high - low) / 2;
    if (dtype === "uint8" || dtype === "int8" || dtype === "bool") {
      // In binary32, as the format has it.
      const { fround } = Math, narrow = fround(half), start = fround(low), isBool = dtype === "bool";
      for (let i = 0; i < count; i++) {
        const sample = fround(fround(fround(fround(toUnit(values[i])) + 1) * narrow) + start);
        samples[i] = isBool ? Number(sample > 0.5) : clip(nearest(sample), low, high);
      }
    } else if (isFloat(dtype)) {
      const put = dtype === "float16" ? toHalf : (x: number) => x;
      for (let i = 0; i < count; i++) samples[i] = put(clip((toUnit(values[i]) + 1) * half + low, low, high));
    } else if (dtype === "int64" || dtype === "uint64") {
      // The ends of the range are no binary64 numbers. Words instead of BigInt, which takes ten times as long.
      const most = dtype === "int64" ? 2 ** 63 - 1024 : 2 ** 64 - 2048;
      const words = new Uint32Array(samples.buffer, samples.byteOffset, 2 * count);
      for (let i = 0; i < count; i++) {
        const sample = Math.min(clip(nearest((toUnit(values[i]) + 1) * half + low), low, high), most);
        const upper = Math.floor(sample / 2 ** 32);
        words[2 * i] = sample - upper * 2 ** 32;
        words[2 * i + 1] = upper;
      }
    } else {
      for (let i = 0; i < count; i++) samples[i] = clip(nearest((toUnit(values[i]) + 1) * half + low), low, high);
    }
  }
}

/** low and high of a header: two ordered numbers of the dtype; `MalformedError` for anything else. */
export function checkedRange(values: readonly Cbor[], dtype: DType): [number, number] {
  const [least, most] = rangeOf(dtype);
  const numbers = values.map((value) =>
    isFloat(dtype)
      ? value instanceof CborFloat ? value.value : NaN
      : typeof value === "number" || typeof value === "bigint" ? Number(value) : NaN);
  const [low, high] = numbers;
  // Integers beyond 2^53 are compared exactly: a bigint with a number.
  const inside = values.every((value) => {
    const number = value instanceof CborFloat ? value.value : value;
    return (typeof number === "number" || typeof number === "bigint") && number >= least && number <= most;
  });
  if (values.length !== 2 || !inside || !(low <= high) || !Number.isFinite(high - low)) {
    throw new MalformedError(`value range: expected two ordered ${dtype} numbers`);
  }
  return [low, high];
}

/** The bits of the binary16 nearest to a number. */
export function toHalf(x: number): number {
  return bitsOf(x, 10, 15);
}
