/** What headers and side sections of signals may say (docs/format.md, section 5; format-signals.md). */

import { brotliCompressSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { type Cbor, CborFloat } from "../../src/container/cbor";
import { LimitError, MalformedError, UnknownIdError } from "../../src/errors";
import { partsIn, specOf } from "../../src/signals/registry";

beforeAll(loadBrotli);

const NONE = new Uint8Array();
const f = (value: number): CborFloat => new CborFloat(value);
const packed = (text: string | Uint8Array): Uint8Array => new Uint8Array(brotliCompressSync(text));

/** A header with other entries by position. */
function edited(header: readonly Cbor[], edits: Record<number, Cbor>): Cbor[] {
  return Object.assign([...header], edits);
}

const IMAGE = [0, 8, 12, 0, 0], IN_BLOCKS = [7, 9, 13, 0, 2, 3, 1], SOUND = [1, 8000, 1600, 2, 0, 80, [f(0.5), f(1)]];
const VOLUME = [2, [12, 10, 9], 0, 0, [7, -398, 846]], VOLUMES = [8, [37, 34, 20], 0, 0, [7, 0, 120], [2, 2, 1], 2];
const VIDEO = [4, 4, 12, 16, 3, 30000, 1001], VIDEOS = [9, 20, 36, 34, 3, 25, 1, 1, 2, 2, 4];
const SHAPE = [5, 0, 1, 24, 24, 9, f(1.5), f(0.25), f(0), f(0), f(0)], SHAPES = [10, 2, 1, 20, 18, 9, f(1.5), f(0.25), f(0), f(0), f(0), 2, 2, 1, 2];
const CAMERA = [24, 20, f(36), f(36), f(12), f(10)], BOX = [f(-1), f(-1), f(-1), f(1), f(1), f(1), f(0), 64, 1, 32];
const ORBIT = [0, 0, 0, 0, 0, 1, 4, 0, 1].map(f), SCENE = [6, CAMERA, 10, BOX, [255, 255, 255], ORBIT, 0];

describe("headers of signals", () => {
  it.each<[readonly Cbor[], number]>([
    [IMAGE, 1], [IN_BLOCKS, 6], [SOUND, 2], [VOLUME, 1], [VOLUMES, 4], [VIDEO, 1], [VIDEOS, 4], [SHAPE, 1], [SHAPES, 4], [SCENE, 1],
  ])("%j is read", (header, parts) => {
    expect(partsIn(header)).toBe(parts);
    const spec = specOf(header, NONE);
    expect(spec.parts).toBe(parts);
    expect(JSON.parse(JSON.stringify(spec.describe())).type).toBe(spec.kind);
  });

  it.each<[string, readonly Cbor[]]>([
    ["no id", []], ["a float as id", [f(0)]], ["a text id without letters", [""]], ["a text id of 65 letters", ["a".repeat(65)]],
    ["a picture without rows", edited(IMAGE, { 1: 0 })], ["2^31 columns", edited(IMAGE, { 2: 2 ** 31 })],
    ["a size as float", edited(IMAGE, { 1: f(8) })], ["grid 8", edited(IMAGE, { 4: 8 })], ["a range for bytes", [...IMAGE, 0, 255]],
    ["no range for 16 bits", edited(IMAGE, { 3: 7 })], ["a range of floats for integers", [...edited(IMAGE, { 3: 7 }), f(0), f(1)]],
    ["a range beyond 16 bits", [...edited(IMAGE, { 3: 7 }), 0, 65536]], ["low above high", [...edited(IMAGE, { 3: 7 }), 2, 1]],
    ["an infinite range", [...edited(IMAGE, { 3: 64 + 40 }), f(-1.7e308), f(1.7e308)]],
    ["no colours", edited(IMAGE, { 3: 5 })], ["nothing known of channels", [...edited(IMAGE, { 3: 256 }), [null, null, null]]],
    ["two channels for three", [...edited(IMAGE, { 3: 256 }), [null, 1]]], ["a known sample of 256", [...edited(IMAGE, { 3: 256 }), [null, 256, null]]],
    ["one value twice", [...edited(IMAGE, { 3: 256 }), [null, [4, 4], null]]], ["what is known of floats", [...edited(IMAGE, { 3: 256 + 9 }), f(0), f(1), [1]]],
    ["one block", edited(IN_BLOCKS, { 4: 1, 5: 1, 6: 0 })], ["more blocks than rows", edited(IN_BLOCKS, { 4: 10 })],
    ["a fade of three samples", edited(IN_BLOCKS, { 6: 3 })], ["blocks without fade", IN_BLOCKS.slice(0, 6)],
    ["a rate of 0", edited(SOUND, { 1: 0 })], ["2^48 + 1 frames", edited(SOUND, { 2: 2 ** 48 + 1 })], ["1025 channels", edited(SOUND, { 3: 1025 })],
    ["a fade of more than half a block", edited(SOUND, { 5: 401 })], ["a gain above 1", edited(SOUND, { 6: [f(0.5), f(1.5)] })],
    ["a gain as integer", edited(SOUND, { 6: [f(0.5), 1] })], ["no gains", edited(SOUND, { 6: [] })], ["a fade in one block", edited(SOUND, { 6: [f(1)] })],
    ["two sizes", edited(VOLUME, { 1: [12, 10] })], ["65 channels", edited(VOLUME, { 2: 65 })], ["a dtype that is none", edited(VOLUME, { 4: [12, 0, 1] })],
    ["levels beyond the dtype", edited(VOLUME, { 4: [7, -32769, 0] })], ["blocks along two of three axes", edited(VOLUMES, { 5: [2, 2] })],
    ["a NIfTI file without its header", edited(VOLUME, { 3: 2 })], ["a zarr array without metadata", edited(VOLUME, { 3: 4 })],
    ["two channels of a video", edited(VIDEO, { 4: 2 })], ["a rate that can be reduced", edited(VIDEO, { 5: 50, 6: 2 })], ["a video of six entries", VIDEO.slice(0, 6)],
    ["65537 voxels", edited(SHAPE, { 3: 65537 })], ["a band as integer", edited(SHAPE, { 6: 1 })], ["signed distances without band", edited(SHAPE, { 1: 1, 6: f(0) })],
    ["a voxel without size", edited(SHAPE, { 7: f(0) })], ["source 2", edited(SHAPE, { 2: 2 })],
    ["a camera without focal length", edited(SCENE, { 1: edited(CAMERA, { 2: f(0) }) })], ["a distortion of zeros", edited(SCENE, { 1: [...CAMERA, f(0), f(0), f(0), f(0)] })],
    ["no views", edited(SCENE, { 2: 0 })], ["a flat box", edited(SCENE, { 3: edited(BOX, { 3: f(-1) }) })], ["a box that is flat in binary32", edited(SCENE, { 3: edited(BOX, { 0: f(1e8), 3: f(1e8 + 1) }) })],
    ["a colour of 256", edited(SCENE, { 4: [0, 0, 256] })], ["an orbit on its axis", edited(SCENE, { 5: [0, 0, 0, 0, 0, 1, 0, 0, 1].map(f) })],
    ["a hull of 16 cells", edited(SCENE, { 6: 16 })], ["a number of 10^9", edited(SCENE, { 5: edited(ORBIT, { 0: f(1e9) }) })],
    ["more than the id of a dataset", [3, 0]], ["blocks of a dataset without fade", [11, [2, 1]]],
  ])("%s is malformed", (_, header) => {
    expect(() => (partsIn(header), specOf(header, NONE))).toThrow(MalformedError);
  });

  it.each<[string, readonly Cbor[]]>([
    ["signal 12", [12]], ["a signal of another package", ["other", 1]], ["mode 18", edited(IMAGE, { 3: 18 })], ["an array of five channels", edited(IMAGE, { 3: 64 + 5 })],
    ["an array of float16", edited(IMAGE, { 3: 64 + 48 })], ["sample format 7", edited(SOUND, { 4: 7 })], ["volume format 9", edited(VOLUME, { 3: 9 })], ["variant 3", edited(SHAPE, { 1: 3 })],
  ])("%s is unknown", (_, header) => {
    expect(() => (partsIn(header), specOf(header, NONE))).toThrow(UnknownIdError);
  });

  it.each<[string, readonly Cbor[]]>([
    ["views of 65537 columns", edited(SCENE, { 1: edited(CAMERA, { 0: 65537 }) })], ["1025 steps", edited(SCENE, { 3: edited(BOX, { 7: 1025 }) })],
    ["257^3 cells", edited(SCENE, { 3: edited(BOX, { 9: 257 }) })],
  ])("%s are too many", (_, header) => {
    expect(() => specOf(header, NONE)).toThrow(LimitError);
  });

  it.each([IMAGE, IN_BLOCKS, SOUND, VOLUME, VOLUMES, VIDEO, VIDEOS, SHAPE, SHAPES, SCENE])("a side section of %j is refused", (...header) => {
    expect(() => specOf(header as Cbor[], Uint8Array.of(6))).toThrow(MalformedError);
  });
});

describe("side sections of volumes", () => {
  const read = (format: number, side: Uint8Array, header = VOLUME) => specOf(edited(header, { 3: format }), side);

  function nifti(littleEndian: boolean, second: boolean, dims: readonly number[], code = 4): Uint8Array {
    const data = new Uint8Array(second ? 544 : 352), view = new DataView(data.buffer);
    view.setInt32(0, second ? 540 : 348, littleEndian);
    [dims.length, ...dims].forEach((n, i) => (second ? view.setBigInt64(16 + 8 * i, BigInt(n), littleEndian) : view.setInt16(40 + 2 * i, n, littleEndian)));
    view.setInt16(second ? 12 : 70, code, littleEndian);
    [2, 3, -4].forEach((x, i) => (second ? view.setFloat64(112 + 8 * i, x, littleEndian) : view.setFloat32(80 + 4 * i, x, littleEndian)));
    return data;
  }

  it.each([[true, false], [false, false], [true, true], [false, true]])("a NIfTI header is read: little endian %s, NIfTI-2 %s", (little, second) => {
    const spec = read(2, packed(nifti(little, second, [12, 10, 9, 1])));
    expect(spec.describe()).toMatchObject({ spacing: [2, 3, 4], format: ".nii" });
    expect(() => read(2, packed(nifti(little, second, [12, 10, 8])))).toThrow(MalformedError);
    expect(() => read(2, packed(nifti(little, second, [12, 10, 9, 2])))).toThrow(MalformedError);
    expect(() => read(2, packed(nifti(little, second, [12, 10, 9], 16)))).toThrow(MalformedError);
    expect(() => read(2, packed(nifti(little, second, [12, 10, 9]).subarray(0, 340)))).toThrow(MalformedError);
  });

  const OME = '"ome":{"version":"0.4","axes":[{"name":"t"},{"name":"C"},{"name":"z","type":"space"},{"name":"y"},{"name":"x"}],"dropped":[0,1],'
    + '"scale":[1.0,1.0,0.5,0.25,2.5e-1],"translation":[0.0,0.0,0.0,0.0,0.0],"attributes":{}}';

  it.each([
    [4, '{"attributes":{"a":[1,null,true,"\\u00fc"]},"chunks":[4,4,4],"dimension_names":["z",null,"x"]}', [1, 1, 1]],
    [8, '{"attributes":{},"chunks":[4,4,4],"zarr_format":2,"fill_value":"NaN","shards":[8,8,8]}', [1, 1, 1]],
    [7, `{"attributes":{},"chunks":[1,1,4,4,4],${OME}}`, [0.5, 0.25, 0.25]],
  ])("zarr metadata of format %i are read", (format, text, spacing) => {
    expect(read(format, packed(text)).describe()).toMatchObject({ spacing });
    expect(() => read(format === 4 ? 7 : 4, packed(text))).toThrow(MalformedError);
  });

  it.each([
    "", "{}", '{"attributes":{}}', '{"attributes":{},"chunks":[4,4]}', '{"attributes":{},"chunks":[4,4,0]}', '{"attributes":{},"chunks":[4,4,4.0]}',
    '{"attributes":[],"chunks":[4,4,4]}', '{"attributes":{},"chunks":[4,4,4]} ', '{"attributes": {},"chunks":[4,4,4]}', '{"attributes":{},"chunks":[4,4,4],"other":1}',
    '{"attributes":{"a":NaN},"chunks":[4,4,4]}', '{"attributes":{"a":1e999},"chunks":[4,4,4]}', '{"attributes":{"a":1,"a":2},"chunks":[4,4,4]}',
    '{"attributes":{"a":"\u00fc"},"chunks":[4,4,4]}', '{"attributes":{"a":"\\u0041"},"chunks":[4,4,4]}', '{"attributes":{"a":01},"chunks":[4,4,4]}',
    `{"attributes":{"a":${"[".repeat(600)}${"]".repeat(600)}},"chunks":[4,4,4]}`, '{"attributes":{},"chunks":[4,4,4],"dimension_names":["a","b"]}',
  ])("%s is no metadata of a zarr array", (text) => {
    expect(() => read(4, packed(text || " "))).toThrow(MalformedError);
  });

  it("unpack to no more than they may", () => {
    expect(() => read(4, packed(new Uint8Array(2 ** 21)))).toThrow(MalformedError);
    expect(() => read(4, packed(""))).toThrow(MalformedError);
    expect(() => read(4, Uint8Array.of(255, 255))).toThrow(MalformedError);
  });
});
