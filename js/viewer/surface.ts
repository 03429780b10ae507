/** The surface of a shape as triangles: naive surface nets (Gibson 1998), a vertex in each cell that the surface crosses. */

import type { ShapeRendering } from "../src/signals/shape";
import type { Mesh } from "./protocol";

/** Corners of a cell, and its edges as pairs of corners. */
const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((c) => [c >> 2, (c >> 1) & 1, c & 1] as const);
const EDGES = CORNERS.flatMap((_, a) => [4, 2, 1].filter((bit) => (a & bit) === 0).map((bit) => [a, a | bit] as const));

/** Triangles of the level 0. Positions are in the longest side's units, about the centre; outside is beyond the grid. */
export function surfaceOf({ level, colours }: ShapeRendering): Mesh {
  const [nx, ny, nz] = level.shape, data = level.data as Float32Array, longest = Math.max(nx, ny, nz);
  const at = (x: number, y: number, z: number): number =>
    x < 0 || y < 0 || z < 0 || x >= nx || y >= ny || z >= nz ? -1 : data[(x * ny + y) * nz + z];
  const positions: number[] = [], normals: number[] = [], tints: number[] = [], triangles: number[] = [];
  const stride = [(ny + 1) * (nz + 1), nz + 1, 1], vertices = new Int32Array((nx + 1) * (ny + 1) * (nz + 1)).fill(-1);
  const values = new Float64Array(8);
  for (let x = -1; x < nx; x++) for (let y = -1; y < ny; y++) for (let z = -1; z < nz; z++) {
    let inside = 0;
    CORNERS.forEach(([i, j, k], c) => {
      values[c] = at(x + i, y + j, z + k);
      if (values[c] > 0) inside |= 1 << c;
    });
    if (inside === 0 || inside === 255) continue;
    const place = [0, 0, 0], slope = [0, 0, 0];
    let crossings = 0;
    for (const [a, b] of EDGES) {
      if (values[a] > 0 === values[b] > 0) continue;
      const t = values[a] / (values[a] - values[b]);
      for (let axis = 0; axis < 3; axis++) place[axis] += CORNERS[a][axis] + t * (CORNERS[b][axis] - CORNERS[a][axis]);
      crossings++;
    }
    CORNERS.forEach((corner, c) => corner.forEach((side, axis) => (slope[axis] -= values[c] * (2 * side - 1))));
    const length = Math.hypot(...slope) || 1, cell = [x, y, z];
    vertices[(x + 1) * stride[0] + (y + 1) * stride[1] + z + 1] = positions.length / 3;
    const sides = [nx, ny, nz];
    for (let axis = 0; axis < 3; axis++) {
      positions.push((cell[axis] + place[axis] / crossings - (sides[axis] - 1) / 2) / (longest / 2));
      normals.push(slope[axis] / length);
      const near = sides.map((n, a) => Math.min(Math.max(Math.round(cell[a] + place[a] / crossings), 0), n - 1));
      tints.push(colours ? Number(colours.data[((near[0] * ny + near[1]) * nz + near[2]) * 3 + axis]) / 255 : 0.75);
    }
  }
  // An edge of the grid that crosses the surface joins the vertices of the four cells around it.
  for (let x = 0; x < nx; x++) for (let y = 0; y < ny; y++) for (let z = 0; z < nz; z++) {
    const own = at(x, y, z) > 0, here = (x + 1) * stride[0] + (y + 1) * stride[1] + z + 1;
    for (let axis = 0; axis < 3; axis++) {
      const ahead = at(x + Number(axis === 0), y + Number(axis === 1), z + Number(axis === 2)) > 0;
      const [u, v] = [stride[(axis + 1) % 3], stride[(axis + 2) % 3]];
      if (own !== ahead) quad(triangles, [here, here - u, here - u - v, here - v].map((i) => vertices[i]), own);
      const before = at(x - Number(axis === 0), y - Number(axis === 1), z - Number(axis === 2));
      // Edges that begin outside the grid end in its first samples.
      if ([x, y, z][axis] === 0 && own && !(before > 0)) {
        const first = here - stride[axis];
        quad(triangles, [first, first - u, first - u - v, first - v].map((i) => vertices[i]), false);
      }
    }
  }
  return {
    positions: Float32Array.from(positions), normals: Float32Array.from(normals), colours: Float32Array.from(tints),
    triangles: Uint32Array.from(triangles),
  };
}

/** Two triangles, seen from outside. */
function quad(triangles: number[], [a, b, c, d]: readonly number[], along: boolean): void {
  if (Math.min(a, b, c, d) < 0) return;
  triangles.push(...(along ? [a, b, c, a, c, d] : [a, c, b, a, d, c]));
}
