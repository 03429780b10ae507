import { describe, expect, it } from "vitest";
import { InputError, frameOf, type Tensor, toRGBA8 } from "../../src/index";

const tensor = (dtype: Tensor["dtype"], shape: number[], data: Tensor["data"]): Tensor => ({ dtype, shape, data });

describe("toRGBA8", () => {
  it.each<[string, Tensor, object, number[]]>([
    ["gray", tensor("uint8", [1, 2], Uint8Array.of(7, 200)), {}, [7, 7, 7, 255, 200, 200, 200, 255]],
    ["gray and alpha", tensor("uint8", [1, 1, 2], Uint8Array.of(7, 99)), { mode: "LA" }, [7, 7, 7, 99]],
    ["RGB", tensor("uint8", [1, 1, 3], Uint8Array.of(1, 2, 3)), { mode: "RGB" }, [1, 2, 3, 255]],
    ["RGBA", tensor("uint8", [1, 1, 4], Uint8Array.of(1, 2, 3, 4)), { mode: "RGBA" }, [1, 2, 3, 4]],
    ["bits", tensor("bool", [1, 2], Uint8Array.of(0, 1)), { mode: "1" }, [0, 0, 0, 255, 255, 255, 255, 255]],
    ["16 bits", tensor("uint16", [1, 1, 4], Uint16Array.of(65535, 257, 128, 514)), { mode: "RGBA;16" }, [255, 1, 0, 2]],
    ["floats by their range", tensor("float32", [1, 3], Float32Array.of(-1, 0, 3)), {}, [0, 0, 0, 255, 64, 64, 64, 255, 255, 255, 255, 255]],
    ["a constant", tensor("float64", [1, 1], Float64Array.of(4)), {}, [0, 0, 0, 255]],
    ["half precision", tensor("float16", [1, 2], Uint16Array.of(0x3c00, 0x4000)), { range: [0, 2] }, [128, 128, 128, 255, 255, 255, 255, 255]],
    ["64 bits", tensor("int64", [1, 2], BigInt64Array.of(-5n, 5n)), {}, [0, 0, 0, 255, 255, 255, 255, 255]],
    ["a given range", tensor("uint16", [1, 3], Uint16Array.of(50, 150, 250)), { range: [100, 200] }, [0, 0, 0, 255, 128, 128, 128, 255, 255, 255, 255, 255]],
    ["CMYK", tensor("uint8", [1, 2, 4], Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 255)), { mode: "CMYK" }, [0, 255, 255, 255, 0, 0, 0, 255]],
    ["YCbCr", tensor("uint8", [1, 2, 3], Uint8Array.of(128, 128, 128, 76, 85, 255)), { mode: "YCbCr" }, [128, 128, 128, 255, 254, 0, 0, 255]],
    ["HSV", tensor("uint8", [1, 3, 3], Uint8Array.of(0, 255, 255, 85, 255, 255, 0, 0, 90)), { mode: "HSV" }, [255, 0, 0, 255, 0, 255, 0, 255, 90, 90, 90, 255]],
    ["LAB", tensor("uint8", [1, 2, 3], Uint8Array.of(255, 128, 128, 0, 128, 128)), { mode: "LAB" }, [255, 255, 255, 255, 0, 0, 0, 255]],
    ["LAB of signed bytes", tensor("uint8", [1, 1, 3], Uint8Array.of(255, 0, 0)), { mode: "LAB;signed" }, [255, 255, 255, 255]],
  ])("shows %s", (_, samples, shown, wanted) => {
    expect(Array.from(toRGBA8(samples, shown))).toEqual(wanted);
  });

  it("shows sRGB's red from LAB", () => {
    const [red, green, blue] = toRGBA8(tensor("uint8", [1, 1, 3], Uint8Array.of(138, 209, 198)), { mode: "LAB" });
    expect(red).toBeGreaterThan(248);
    expect(Math.max(green, blue)).toBeLessThan(16);
  });

  it("refuses what is no picture", () => {
    expect(() => toRGBA8(tensor("uint8", [1, 1, 5], new Uint8Array(5)))).toThrow(InputError);
    expect(() => toRGBA8(tensor("uint8", [4], new Uint8Array(4)))).toThrow(InputError);
  });
});

describe("frameOf", () => {
  it("gives a frame of a clip", () => {
    const clip = tensor("uint8", [3, 1, 2], Uint8Array.of(1, 2, 3, 4, 5, 6));
    expect(frameOf(clip, 1)).toEqual(tensor("uint8", [1, 2], Uint8Array.of(3, 4)));
    for (const number of [-1, 3, 0.5]) expect(() => frameOf(clip, number)).toThrow(InputError);
  });
});
