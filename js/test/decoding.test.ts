import { brotliCompressSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { CancelledError, InputError, LimitError, loadBrotli, type Numbers, open, type Opened, planesOf, SinrError, toRGBA8, TruncatedError } from "../src/index";
import { bytesOf, hex, namesIn } from "./conformance";
import { sealed, split } from "./files";

beforeAll(loadBrotli);

function opened<K extends Opened["kind"]>(name: string, kind: K, options = {}): Extract<Opened, { kind: K }> {
  const file = open(bytesOf(`${name}.sinr`), options);
  if (file.kind !== kind) throw new Error(`${name}: is of kind ${file.kind}`);
  return file as Extract<Opened, { kind: K }>;
}

function numbersOf(data: Numbers): number[] {
  return Array.from(data as ArrayLike<number>);
}

/** A part of an array (..shape) in C order. */
function cropped(data: Numbers, shape: readonly number[], ranges: readonly (readonly [number, number])[]): number[] {
  return numbersOf(data).filter((_, i) => {
    let inner = shape.reduce((product, n) => product * n, 1), rest = i;
    return shape.every((n, axis) => {
      inner /= n;
      const [first, stop] = ranges[axis] ?? [0, n], at = Math.floor(rest / inner);
      rest %= inner;
      return at >= first && at < stop;
    });
  });
}

describe("renderings in tiles", () => {
  it.each(["direct", "blocks", "corners", "exact/blocks", "pyramids/rgb", "pyramids/deep"])("of %s are parts of the whole", (name) => {
    const file = opened(name, "image");
    for (const options of [{}, { scale: 2.3 }, { scale: 0.4 }, { region: [[1, 5], [2, 9]], scale: 3 }, { size: [31, 20] }] as const) {
      const whole = file.render(options), [height, width] = whole.shape;
      for (const tile of [[[0, 1], [0, 1]], [[height >> 1, height]], [[0, height], [width >> 1, width]]] as const) {
        expect(numbersOf(file.render({ ...options, tile }).data)).toEqual(cropped(whole.data, whole.shape, tile));
      }
    }
  });

  it("of volumes, videos, shapes and scenes are parts of the whole", () => {
    const tile = [[1, 3], [0, 2], [2, 7]] as const;
    for (const [name, kind] of [["volume-blocks", "volume"], ["video-blocks", "video"]] as const) {
      const file = opened(`signals/${name}`, kind), whole = file.render({ scale: 0.5 });
      expect(numbersOf(file.render({ scale: 0.5, tile }).data)).toEqual(cropped(whole.data, whole.shape, tile));
    }
    const shape = opened("signals/shape-blocks", "shape"), { level } = shape.render({ resolution: 30 });
    const part = shape.render({ resolution: 30, tile });
    expect(numbersOf(part.level.data)).toEqual(cropped(level.data, level.shape, tile));
    expect(part.origin).toEqual(shape.render({ resolution: 30 }).origin.map((x, axis) => x + tile[axis][0] * part.spacing[axis]));
    const scene = opened("signals/radiance", "radiance"), views = scene.render({ orbit: 3 });
    const view = scene.render({ orbit: 3, views: [1, 2], tile: [[4, 9], [3, 20]] });
    expect(numbersOf(view.data)).toEqual(cropped(views.data, views.shape, [[1, 2], [4, 9], [3, 20]]));
  });

  it("decode each network once, and only those that they need", () => {
    const file = opened("blocks", "image"), all = file.sections().length;
    const some = file.spec.partsFor({ region: [[0, 2], [0, 2]] });
    expect(some).toEqual([0]);
    expect(file.spec.partsFor({})).toEqual(Array.from({ length: all }, (_, i) => i));
    expect(file.weights(3)).toBe(file.weights(3));
  });
});

describe("other rates and sizes", () => {
  it("a sound at twice the rate has every sample of the source", () => {
    const file = opened("signals/audio", "audio"), source = file.render(), twice = file.render({ rate: 16000 });
    expect(twice.shape).toEqual([2 * source.shape[0], 2]);
    source.data.forEach((value, i) => expect(twice.data[4 * Math.floor(i / 2) + (i % 2)]).toBe(value));
    const part = file.render({ start: 0.1, stop: 0.15 });
    expect(numbersOf(part.data)).toEqual(numbersOf(source.data.slice(1600, 2400)));
  });

  it("a sound at a lower rate is filtered", () => {
    const file = opened("signals/audio", "audio"), source = file.render(), half = file.render({ rate: 4000 });
    expect(half.shape).toEqual([source.shape[0] / 2, 2]);
    // A low tone: what is filtered away is small against the whole.
    const power = (data: Numbers) => numbersOf(data).reduce((sum, x) => sum + x * x, 0) / data.length;
    expect(power(half.data) / power(source.data)).toBeCloseTo(1, 1);
  });

  it("a scene is seen from a pose as from its orbit", () => {
    const file = opened("signals/radiance", "radiance"), { target, up, start } = file.spec.orbit;
    const back = start.map((x, i) => x - target[i]), length = Math.hypot(...back), z = back.map((x) => x / length);
    const cross = (a: readonly number[], b: readonly number[]) => [0, 1, 2].map((i) => a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3]);
    const across = cross(up, z), x = across.map((v) => v / Math.hypot(...across)), y = cross(z, x);
    const pose = [0, 1, 2].flatMap((row) => [x[row], y[row], z[row], start[row]]);
    const wanted = file.render().data;
    file.render({ poses: [pose] }).data.forEach((value, i) => expect(Math.abs(Number(value) - Number(wanted[i]))).toBeLessThanOrEqual(1));
    expect(() => file.render({ poses: [pose.map((v) => 2 * v)] })).toThrow(InputError);
  });
});

describe("options", () => {
  it.each([
    ["direct", { region: [[0, 9]] }], ["direct", { region: [[3, 3]] }], ["direct", { scale: 0 }], ["direct", { size: [0, 4] }],
    ["direct", { scale: 2, size: [4, 4] }], ["direct", { region: [[0, 1], [0, 1], [0, 1]] }], ["direct", { tile: [[0, 9]] }],
    ["signals/audio", { rate: 1.5 }], ["signals/audio", { rate: 1 }], ["signals/audio", { start: 0.3 }],
    ["signals/video", { fps: 0 }], ["signals/shape", { resolution: 0 }], ["signals/shape", { resolution: 9, scale: 1 }],
    ["signals/radiance", { orbit: 0 }], ["signals/radiance", { orbit: 2, poses: [] }], ["signals/radiance", { views: [0, 2] }],
    ["signals/dataset", { variables: ["nothing"] }], ["signals/dataset", { region: { lat: [0, 99] } }],
    ["signals/dataset", { region: { nowhere: [0, 1] } }], ["signals/dataset-gaps", { scale: 2 }],
  ])("%s refuses %j", (name, options) => {
    const file = open(bytesOf(`${name}.sinr`)) as Extract<Opened, { kind: "image" }>;
    expect(() => file.render(options as object)).toThrow(InputError);
  });

  it("are bounded before anything is allocated", () => {
    expect(() => opened("direct", "image", { limits: { maxSamples: 100 } })).toThrow(LimitError);
    expect(() => opened("direct", "image").render({ size: [2 ** 30, 2 ** 30] })).toThrow(LimitError);
    expect(() => opened("direct", "image", { limits: { maxWork: 1000 } }).render()).toThrow(LimitError);
    expect(() => opened("signals/radiance", "radiance", { limits: { maxWork: 10 ** 6 } }).render()).toThrow(LimitError);
    expect(() => opened("signals/dataset", "dataset", { limits: { maxBytes: 3000 } }).render()).toThrow(LimitError);
  });
});

describe("long work", () => {
  it.each(["pyramids/rgb", "blocks", "signals/radiance", "signals/dataset-blocks", "signals/audio"])("%s tells what is done, and ends when it is asked to", async (name) => {
    const file = open(bytesOf(`${name}.sinr`)) as Extract<Opened, { kind: "image" }>, shares: number[] = [];
    const rendering = file.render({}, { progress: (share) => shares.push(share) });
    expect(shares.at(-1)).toBeCloseTo(1, 10);
    shares.reduce((before, share) => (expect(share).toBeGreaterThanOrEqual(before), share), 0);
    expect(() => file.render({}, { cancelled: () => true })).toThrow(CancelledError);
    expect(await file.renderWithPauses()).toEqual(rendering);
    await expect(file.renderWithPauses({}, { cancelled: () => true })).rejects.toThrow(CancelledError);
  });
});

describe("pictures for the screen", () => {
  it("have the same range in all their parts", () => {
    const file = opened("sparse", "image"), whole = file.render(), part = file.render({ region: [[0, 1], [0, 1]] });
    expect(part.range).toEqual([-2.5, 1000]);
    expect(Array.from(toRGBA8(part, part))).toEqual(Array.from(toRGBA8(whole, whole).subarray(0, 4)));
    expect(opened("direct", "image").render().range).toEqual([0, 255]);
    expect(opened("signals/volume", "volume").render().range).toEqual([-398, 846]);
    expect(planesOf(opened("signals/audio", "audio").render()).map(({ length }) => length)).toEqual([1600, 1600]);
  });
});

describe("what is told", () => {
  it("of a picture", () => {
    const file = opened("direct", "image");
    expect(file.info()).toEqual({
      kind: "image", bytes: 106, headerBytes: 43, qualityDb: 32.45, networks: 1, parameters: 47, planes: [0, 0],
      field: [0, 2, 3, 4, 1, [0, 30]], signal: { type: "image", shape: [8, 12, 3], dtype: "uint8", mode: "RGB" },
      sectionBytes: { weights: 59 }, base: undefined, exact: false,
    });
    expect(file.sections()).toEqual([{ holds: "weights", part: 0, offset: 43, length: 59 }]);
    expect([...file.weights().keys()]).toEqual([0, 1, 2].flatMap((i) => [`layers.${i}.weight`, `layers.${i}.bias`]));
    expect(file.evaluate(Float32Array.of(0, 0, 0.5, -0.5))).toHaveLength(6);
  });

  it("of all signals, with the shape of their renderings", () => {
    for (const name of [...namesIn("signals/"), ...namesIn("exact/"), ...namesIn("pyramids/")]) {
      const file = open(bytesOf(`${name}.sinr`)), about = file.info();
      expect(about.signal?.type).toBe(file.kind);
      expect(about.headerBytes + Object.values(about.sectionBytes).reduce((a, b) => a + b) + 4 * file.sections().length).toBe(about.bytes);
      expect(JSON.parse(JSON.stringify(about)).kind).toBe(file.kind);
      if (file.kind === "image" || file.kind === "volume" || file.kind === "video") expect(file.render().shape).toEqual(about.signal!.shape);
    }
  });

  it("of a state dict and a base", () => {
    const state = opened("state", "state");
    expect(state.info()).toMatchObject({ kind: "state", signal: undefined });
    expect(state.info().parameters).toBe([...state.weights().values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0));
    expect(opened("bases/shared", "base").info()).toMatchObject({ kind: "base", base: "06383774f6f3c4a5e60f65606fc4a9ca" });
  });

  it("by the source", () => {
    const { cbor, sections } = split(bytesOf("direct.sinr"));
    const file = (packed: Uint8Array) => {
      const text = [...new TextEncoder().encode("metadata")];
      return open(sealed([0xa6, ...cbor.subarray(1), 6, 0xa1, 0x68, ...text, 0x58, packed.length, ...packed], sections));
    };
    // {"dpi": [300, 72.5], "comment": h'6869'}
    const map = hex("a26364706982 19012c f95488 67636f6d6d656e74 426869");
    expect(file(brotliCompressSync(map)).metadata()).toEqual({ dpi: [300, 72.5], comment: hex("6869") });
    expect(file(new Uint8Array(30).fill(255)).metadata()).toEqual({});
    expect(file(brotliCompressSync(map.subarray(1))).metadata()).toEqual({});
    expect(open(bytesOf("direct.sinr")).metadata()).toEqual({});
  });
});

describe("progressive files", () => {
  it("are decoded from a beginning", () => {
    const bytes = bytesOf("progressive.sinr"), whole = opened("progressive", "image").render().data;
    const ends = opened("progressive", "image").sections().map(({ offset, length }) => offset + length + 4);
    const errors = ends.map((end, planes) => {
      const file = open(bytes.subarray(0, end), { partial: true });
      if (file.kind !== "image") throw new Error("no picture");
      expect(file.info().planes).toEqual([planes, 3]);
      return numbersOf(file.render().data).reduce((sum, value, i) => sum + Math.abs(Number(value) - Number(whole[i])), 0);
    });
    expect(errors.at(-1)).toBe(0);
    expect(errors[0]).toBeGreaterThan(errors[2]);
    expect(() => open(bytes.subarray(0, ends[0] - 1), { partial: true })).toThrow(TruncatedError);
    expect(() => open(bytes.subarray(0, ends[2]))).toThrow(TruncatedError);
  });
});

describe("damage", () => {
  /** Numbers below a bound, the same in every run. */
  function numbers(seed: number): (below: number) => number {
    let state = seed;
    return (below) => Math.floor(((state = (state * 48271) % 0x7fffffff) / 0x7fffffff) * below);
  }

  it.each([...namesIn("signals/"), "direct", "blocks", "deep", "progressive", "pyramids/rgb"])("of %s is refused by an error of this package", (name) => {
    const { cbor, sections } = split(bytesOf(`${name}.sinr`)), below = numbers(name.length + 1);
    let refused = 0;
    for (let round = 0; round < 60; round++) {
      const head = cbor.slice(), others = sections.map((section) => section.slice());
      const target = round % 3 > 0 ? head : others[others.length - 1];
      for (let edit = below(3); edit >= 0; edit--) target[below(target.length)] = below(256);
      try {
        const file = open(sealed(head, others), { limits: { maxParams: 2 ** 16, maxSamples: 2 ** 18, maxWork: 2 ** 28 } });
        file.info();
        file.metadata();
        if (file.kind !== "state" && file.kind !== "base") (file as Extract<Opened, { kind: "image" }>).render();
      } catch (error) {
        expect(error).toBeInstanceOf(SinrError);
        expect((error as Error).message).not.toContain("\n");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(20);
  }, 30_000);
});
