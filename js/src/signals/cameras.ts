/** Pinhole cameras with lens distortion, and their poses (docs/format-signals.md, "Scenes": rays and orbit). */

import { InputError } from "../errors";

const NEWTON_STEPS = 10;

export type Vector = readonly [number, number, number];

/** Camera-to-world with OpenGL axes: right, up and back as columns, and the position. */
export interface Pose {
  readonly right: Vector;
  readonly up: Vector;
  readonly back: Vector;
  readonly position: Vector;
}

/** Intrinsics in pixels, and the distortion k1, k2, p1, p2. */
export interface Camera {
  readonly width: number;
  readonly height: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly distortion: readonly [number, number, number, number];
}

/** Cameras on a circle that look at its axis. */
export interface Orbit {
  readonly target: Vector;
  readonly up: Vector;
  readonly start: Vector;
}

/** The same view at another resolution. */
export function resized(camera: Camera, width: number, height: number): Camera {
  const x = width / camera.width, y = height / camera.height;
  return { ...camera, width, height, fx: camera.fx * x, fy: camera.fy * y, cx: camera.cx * x, cy: camera.cy * y };
}

/**
 * Unit direction in camera coordinates of the pixel in row v and column u.
 *
 * @throws InputError where the distortion cannot be undone.
 */
export function directionOf(camera: Camera, v: number, u: number): Vector {
  const [x, y] = undistorted(camera, (u + 0.5 - camera.cx) / camera.fx, (v + 0.5 - camera.cy) / camera.fy);
  const length = Math.hypot(x, y, 1);
  return [x / length, -y / length, -1 / length];
}

/** A direction in camera coordinates, in the world. */
export function turned({ right, up, back }: Pose, [x, y, z]: Vector): Vector {
  return [right[0] * x + up[0] * y + back[0] * z, right[1] * x + up[1] * y + back[1] * z, right[2] * x + up[2] * y + back[2] * z];
}

/** The pose of a camera at `position` that looks at `target`, with `up` upwards in the picture. */
export function lookAt(position: Vector, target: Vector, up: Vector): Pose {
  const back = unit(minus(position, target)), right = unit(cross(up, back));
  return { right, up: cross(back, right), back, position };
}

/** View i of n around an orbit. */
export function orbitPose({ target, up, start }: Orbit, i: number, n: number): Pose {
  const offset = minus(start, target), height = dot(offset, up), angle = (2 * Math.PI * i) / n;
  const flat = minus(offset, times(up, height)), side = cross(up, flat);
  const around = plus(times(flat, Math.cos(angle)), times(side, Math.sin(angle)));
  return lookAt(plus(target, plus(times(up, height), around)), target, up);
}

/**
 * A pose from a camera-to-world matrix, row by row, of 3 or 4 rows.
 *
 * @throws InputError for other numbers, or axes that do not form a rotation.
 */
export function poseOf(matrix: readonly number[]): Pose {
  if ((matrix.length !== 12 && matrix.length !== 16) || !matrix.every((x) => Math.abs(x) <= 1e9)) {
    throw new InputError("pose: expected a camera-to-world matrix of 12 or 16 numbers, row by row");
  }
  const column = (k: number): Vector => [matrix[k], matrix[4 + k], matrix[8 + k]];
  const pose: Pose = { right: column(0), up: column(1), back: column(2), position: column(3) };
  const { right, up, back } = pose, pairs = [[right, right, 1], [up, up, 1], [back, back, 1], [right, up, 0], [up, back, 0], [back, right, 0]] as const;
  if (!pairs.every(([a, b, wanted]) => Math.abs(dot(a, b) - wanted) <= 1e-2) || dot(cross(right, up), back) < 0) {
    throw new InputError("pose: expected a rotation in the first three columns");
  }
  return pose;
}

export function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function minus(a: Vector, b: Vector): Vector {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

function plus(a: Vector, b: Vector): Vector {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

function times(a: Vector, factor: number): Vector {
  return [a[0] * factor, a[1] * factor, a[2] * factor];
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function unit(a: Vector): Vector {
  return times(a, 1 / Math.hypot(...a));
}

function distorted([k1, k2, p1, p2]: Camera["distortion"], x: number, y: number): [number, number] {
  const r2 = x * x + y * y, radial = 1 + r2 * (k1 + r2 * k2);
  return [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)];
}

/** The point of the plane at depth 1 that is distorted to another, by Newton's method. */
function undistorted({ distortion }: Camera, u: number, v: number): [number, number] {
  const [k1, k2, p1, p2] = distortion;
  let x = u, y = v;
  if (distortion.every((k) => k === 0)) return [x, y];
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const r2 = x * x + y * y, radial = 1 + r2 * (k1 + r2 * k2), slope = k1 + 2 * k2 * r2;
    // The Jacobian, which is symmetric.
    const xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x;
    const yy = radial + 2 * y * y * slope + 2 * p2 * x + 6 * p1 * y;
    const xy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y;
    const [a, b] = distorted(distortion, x, y), determinant = xx * yy - xy * xy;
    x -= (yy * (a - u) - xy * (b - v)) / determinant;
    y -= (xx * (b - v) - xy * (a - u)) / determinant;
  }
  const [a, b] = distorted(distortion, x, y);
  if (!(Math.abs(a - u) < 1e-4 && Math.abs(b - v) < 1e-4)) {
    throw new InputError("camera: the lens distortion cannot be undone within the picture");
  }
  return [x, y];
}
