/** Scenes (docs/format-signals.md, "Scenes"): a radiance field seen by cameras. */

import type { Cbor } from "../container/cbor";
import { inflate } from "../coding/inflate";
import { InputError, LimitError } from "../errors";
import type { Tensor } from "../tensor";
import { type Camera, cross, directionOf, minus, type Orbit, orbitPose, type Pose, poseOf, resized, turned, type Vector } from "./cameras";
import { areWhole, expect, floatsOf, isList, isWhole } from "./checks";
import { checkBound, type Networks, scaled, type Steps } from "./networks";
import { nearest } from "./numbers";
import { type Box, type Cells, cellsOf, RayTracer } from "./rays";
import { checkCount, factorsOf, lengthOf, type Range, tileOf, wholeOf } from "./spans";
import type { Description, Reader, Spec } from "./spec";

const HULL = 32; // cells of the stored hull along every axis
const MOST_NUMBER = 1e9;
const MOST_VIEWS = 2 ** 24;
const MOST_SIDE = 2 ** 16;
const MOST_PIXELS = 2 ** 31; // of a view of the source
const MOST_RENDERED = 2 ** 25; // of a rendered view
const MOST_STEPS = 1024;
const MOST_FINE = 8;
const MOST_CELLS = 256;
const CELL_BYTES = 48;
const MOST_ORBIT = 10_000;
const RAYS = 1024; // rays at once, and points of these
const RAY_POINTS = 2 ** 19;
const POINTS_A_RAY = 8;
const LEAST_SIDE = 1.1754943508222875e-38; // of a box in binary32

export interface RadianceOptions {
  /** Camera-to-world matrices with OpenGL axes, row by row, one for each view. */
  readonly poses?: readonly (readonly number[])[];
  /** Number of views around the scene, and which of them to render. Default: one, and all. */
  readonly orbit?: number;
  readonly views?: Range;
  /** Height and width of the views, or a factor on the source's. The field of view stays. */
  readonly size?: readonly number[];
  readonly scale?: number | readonly number[];
  /** Rows and columns of the views to render. Default: all. */
  readonly tile?: readonly Range[];
}

/** Camera, box and sampling of a scene. */
export class RadianceSpec implements Spec<RadianceOptions, Tensor> {
  readonly kind = "radiance";
  readonly inputs = 6;
  readonly outputs = 4;
  readonly parts = 1;
  readonly valueBytes = 1;
  /** Of each opened file; made on first use. */
  private readonly cells = new WeakMap<Networks, Cells>();

  private constructor(
    readonly camera: Camera,
    /** Number of the source's pictures. */
    readonly views: number,
    readonly box: Box,
    readonly background: Vector,
    readonly orbit: Orbit,
    /** A bit for each of 32^3 cells that may be occupied; undefined for all. */
    readonly hull: Uint8Array | undefined,
  ) {}

  /** Of one view. */
  get values(): number {
    return 3 * this.camera.width * this.camera.height;
  }

  /** `MalformedError`, `TruncatedError` or `LimitError` for a header or a side section that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): RadianceSpec {
    expect(header.length === 7, "scene header: expected a list of the id and six entries");
    const [, lens, views, walked, background, seen, cells] = header, camera = cameraOf(lens);
    expect(isWhole(views, 1, MOST_VIEWS), `scene header: expected 1 to ${MOST_VIEWS} views`);
    expect(areWhole(background, 3, 0, 255), "scene header: expected a background of three integers from 0 to 255");
    return new RadianceSpec(camera, views, boxOf(walked), [background[0], background[1], background[2]], orbitOf(seen), hullOf(cells, side));
  }

  describe(): Description {
    const { camera, box } = this;
    return {
      type: this.kind, shape: [camera.height, camera.width, 3], dtype: "uint8", views: this.views,
      focal: [camera.fx, camera.fy], distortion: camera.distortion, box: [box.low, box.high], steps: [box.steps, box.fine],
      background: this.background,
    };
  }

  partsFor(): number[] {
    return [0];
  }

  /**
   * Views, uint8 (n, h, w, 3).
   *
   * @throws InputError for options that exclude each other or are out of range; LimitError before anything is allocated
   */
  *render(networks: Networks, options: RadianceOptions): Steps<Tensor> {
    const { box } = this, { bounds } = networks, poses = this.poses(options);
    const [camera, [rows, columns]] = this.window(options);
    const height = lengthOf(rows), width = lengthOf(columns);
    checkCount([poses.length, height, width], bounds.samples / 3, "pixel");
    if (height * width > MOST_RENDERED) throw new LimitError(`a view of ${width} x ${height}: above ${MOST_RENDERED} pixels`);
    const count = box.cells ** 3;
    checkBound(`a grid of ${box.cells}^3 cells`, count, bounds.samples, "max_samples");
    checkBound(`a grid of ${box.cells}^3 cells`, CELL_BYTES * count, bounds.bytes, "max_bytes");
    checkBound("a view", height * width * box.steps * box.fine + count, bounds.positions, "max_work");
    const network = networks.part(0), pixels = poses.length * height * width;
    let cells = this.cells.get(networks);
    // A guess: of the points on a ray, some are evaluated.
    const begun = cells === undefined ? count / (count + POINTS_A_RAY * pixels) : 0;
    if (cells === undefined) {
      cells = yield* scaled(cellsOf(network, box, insideOf(this.hull, box.cells), networks.tile), 0, begun);
      this.cells.set(networks, cells);
    }
    const most = Math.max(1, Math.min(RAYS, Math.floor(RAY_POINTS / (box.steps * box.fine)), height * width));
    const tracer = new RayTracer(network, box, cells, this.background, most, networks.tile);
    const out = new Uint8Array(pixels * 3), each = height * width;
    const origins = new Float32Array(3 * most), directions = new Float32Array(3 * most);
    for (let view = 0, at = 0; view < poses.length; view++) {
      const pose = poses[view];
      for (let from = 0; from < each; from += most) {
        const rays = Math.min(most, each - from);
        for (let i = 0; i < rays; i++) {
          const row = rows.first + Math.floor((from + i) / width), column = columns.first + ((from + i) % width);
          directions.set(turned(pose, directionOf(camera, row, column)), 3 * i);
          origins.set(pose.position, 3 * i);
        }
        tracer.trace(origins, directions.subarray(0, 3 * rays), out.subarray(at, at + 3 * rays));
        at += 3 * rays;
        yield begun + ((1 - begun) * at) / out.length;
      }
    }
    return { dtype: "uint8", shape: [poses.length, height, width, 3], data: out };
  }

  private poses({ poses, orbit, views }: RadianceOptions): Pose[] {
    if (poses !== undefined && orbit !== undefined) throw new InputError("poses and orbit: expected one of them, not both");
    const count = poses?.length ?? orbit ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > MOST_ORBIT) throw new InputError(`orbit: expected 1 to ${MOST_ORBIT} views`);
    const [first, stop] = views ?? [0, count];
    if (!(Number.isInteger(first) && Number.isInteger(stop) && 0 <= first && first < stop && stop <= count)) {
      throw new InputError(`views ${first}:${stop}: expected 0 <= first < stop <= ${count}`);
    }
    return Array.from({ length: stop - first }, (_, i) =>
      (poses === undefined ? orbitPose(this.orbit, first + i, count) : poseOf(poses[first + i])));
  }

  private window({ size, scale, tile }: RadianceOptions) {
    const { height, width } = this.camera;
    if (size !== undefined && scale !== undefined) throw new InputError("scale and size: expected one of them, not both");
    const [rows, columns] = size ?? [height, width].map((n, i) => Math.max(1, nearest(n * factorsOf(scale ?? 1, 2)[i])));
    if (Math.max(rows, columns) > MOST_SIDE) throw new InputError(`size: expected at most ${MOST_SIDE} pixels a side`);
    const { spans } = tileOf(wholeOf([height, width], { size: [rows, columns] }, "pixel"), tile);
    return [resized(this.camera, columns, rows), spans] as const;
  }
}

/** How scenes are read. */
export const SCENES: Reader<RadianceSpec> = { partsIn: () => 1, read: RadianceSpec.read };

function numbersIn(values: Cbor | undefined, from: number, count: number): number[] {
  const numbers = isList(values) ? floatsOf(values.slice(from, from + count), count) : undefined;
  expect(numbers !== undefined && numbers.every((x) => Math.abs(x) < MOST_NUMBER), `scene header: expected floats below ${MOST_NUMBER}`);
  return numbers;
}

function vector([x, y, z]: readonly number[]): Vector {
  return [x, y, z];
}

function cameraOf(lens: Cbor | undefined): Camera {
  const form = "scene header: expected a camera of two sizes and four or eight floats";
  expect(isList(lens) && (lens.length === 6 || lens.length === 10), form);
  const [width, height] = lens;
  expect(isWhole(width, 1, 2 ** 32 - 1) && isWhole(height, 1, 2 ** 32 - 1), form);
  const [fx, fy, cx, cy] = numbersIn(lens, 2, 4), [k1, k2, p1, p2] = lens.length === 10 ? numbersIn(lens, 6, 4) : [0, 0, 0, 0];
  const isDistorted = [k1, k2, p1, p2].some((k) => k !== 0);
  expect(lens.length === 6 || isDistorted, "scene header: a distortion of zeros is left out, not written");
  if (width * height > MOST_PIXELS || Math.max(width, height) > MOST_SIDE) {
    throw new LimitError(`scene header: views of ${width} x ${height} pixels are too large`);
  }
  expect(fx > 0 && fy > 0, "scene header: expected focal lengths above 0");
  return { width, height, fx, fy, cx, cy, distortion: [k1, k2, p1, p2] };
}

function boxOf(values: Cbor | undefined): Box {
  const form = "scene header: expected a box of seven floats and three integers";
  expect(isList(values) && values.length === 10, form);
  const numbers = numbersIn(values, 0, 7), low = vector(numbers), high = vector(numbers.slice(3)), near = numbers[6];
  const [steps, fine, cells] = values.slice(7);
  const isCount = (n: Cbor): n is number => isWhole(n, 1, 2 ** 32 - 1);
  expect(isCount(steps) && isCount(fine) && isCount(cells), form);
  // Ray marching may be in binary32, where the box must not degenerate either.
  const hasRoom = low.every((x, axis) => x < high[axis] && Math.fround(Math.fround(high[axis]) - Math.fround(x)) > LEAST_SIDE);
  expect(hasRoom && near >= 0, "scene header: expected a box with room inside");
  if (steps > MOST_STEPS || fine > MOST_FINE || cells > MOST_CELLS) {
    throw new LimitError(`scene header: ${steps} x ${fine} steps through ${cells}^3 cells are too many`);
  }
  return { low, high, near, steps, fine, cells };
}

function orbitOf(values: Cbor | undefined): Orbit {
  expect(isList(values) && values.length === 9, "scene header: expected an orbit of nine floats");
  const numbers = numbersIn(values, 0, 9);
  const orbit = { target: vector(numbers), up: vector(numbers.slice(3)), start: vector(numbers.slice(6)) };
  const across = Math.hypot(...cross(minus(orbit.start, orbit.target), orbit.up));
  expect(across > 1e-6, "scene header: expected an orbit around its axis, found one on it");
  return orbit;
}

function hullOf(cells: Cbor | undefined, side: Uint8Array): Uint8Array | undefined {
  if (cells === 0) {
    expect(side.length === 0, "scene header: a side section that nothing declares");
    return undefined;
  }
  expect(cells === HULL, `scene header: expected a hull of ${HULL} cells a side`);
  if (side.length > HULL ** 3) throw new LimitError("scene hull: more bytes than it has cells");
  const bits = inflate(side, HULL ** 3 / 8, "scene hull");
  expect(bits.length === HULL ** 3 / 8, "scene hull: expected a bit for every cell");
  return bits;
}

/** The cells of a grid that are in the hull: a cell is if its centre is. */
function insideOf(hull: Uint8Array | undefined, cells: number): Uint8Array {
  const inside = new Uint8Array(cells ** 3);
  if (hull === undefined) return inside.fill(1);
  const index = Array.from({ length: cells }, (_, i) => Math.floor(((2 * i + 1) * HULL) / (2 * cells)));
  let at = 0;
  for (const x of index) for (const y of index) for (const z of index) {
    const place = (x * HULL + y) * HULL + z;
    inside[at++] = (hull[place >> 3] >> (7 - (place & 7))) & 1;
  }
  return inside;
}
