/** Shapes: the surface, turned by hand; a coarse one first. */

import { make } from "../elements";
import type { Content, Mesh } from "../protocol";
import type { Shown, Stage } from "../show";

const RESOLUTIONS = [48, 128], TURN = 0.008, STEP = 0.1;

const VERTEX = `#version 300 es
in vec3 position, normal, colour;
uniform mat3 turn;
uniform vec2 scale;
out vec3 light;
void main() {
  vec3 p = turn * position, n = turn * normal;
  light = colour * (0.25 + 0.75 * max(dot(n, normalize(vec3(0.3, 0.5, 0.8))), 0.0));
  gl_Position = vec4(p.xy * scale, -p.z * 0.4, 1.0);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec3 light;
out vec4 pixel;
void main() { pixel = vec4(light, 1.0); }`;

export function showShape({ element, decoder, progress, problem }: Stage, { sizes }: Extract<Content, { kind: "shape" }>): Shown {
  const canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": "The shape; turn it by dragging or by arrows, zoom by plus and minus" }), where = make("output", { className: "where" });
  element.replaceChildren(canvas, make("div", { className: "bar" }, where));
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (gl === null) {
    problem(new Error("this browser has no WebGL 2, which shapes are drawn with"));
    return {};
  }
  const program = programOf(gl), ending = new AbortController(), longest = Math.max(...sizes);
  let turn = [0.6, -0.4], zoom = 0.8, count = 0, dragged: PointerEvent | undefined;
  void (async () => {
    try {
      for (const resolution of RESOLUTIONS.map((n) => Math.min(n, longest)).filter((n, i, all) => i === 0 || n > all[i - 1])) {
        const mesh = await decoder.ask("surface", { resolution }, { signal: ending.signal, progress });
        count = fill(gl, program, mesh);
        where.value = `${(mesh.triangles.length / 3).toLocaleString("en")} triangles`;
        paint();
        element.dataset.done = String(resolution);
      }
      progress(undefined);
    } catch (reason) {
      if (!ending.signal.aborted) problem(reason);
    }
  })();

  function paint(): void {
    if (gl === null) return;
    const ratio = window.devicePixelRatio || 1, [w, h] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
    if (canvas.width !== w) canvas.width = w;
    if (canvas.height !== h) canvas.height = h;
    const side = Math.min(w, h), [[cy, sy], [cx, sx]] = turn.map((angle) => [Math.cos(angle), Math.sin(angle)]);
    gl.viewport(0, 0, w, h);
    gl.clearColor(0, 0, 0, 0);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    // Column by column: about the vertical axis, and then about the horizontal one.
    gl.uniformMatrix3fv(gl.getUniformLocation(program, "turn"), false, [cy, sx * sy, -cx * sy, 0, cx, sx, sy, -sx * cy, cx * cy]);
    gl.uniform2f(gl.getUniformLocation(program, "scale"), (zoom * side) / w, (zoom * side) / h);
    gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    dragged = event;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (dragged === undefined) return;
    turn = [turn[0] + TURN * (event.clientX - dragged.clientX), turn[1] + TURN * (event.clientY - dragged.clientY)];
    dragged = event;
    paint();
  });
  for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, () => (dragged = undefined));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom *= 2 ** (-event.deltaY / 500);
    paint();
  }, { passive: false });
  canvas.addEventListener("keydown", ({ key }) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
    turn = [turn[0] + STEP * x, turn[1] + STEP * y];
    zoom *= { "+": 1.2, "=": 1.2, "-": 1 / 1.2 }[key] ?? 1;
    paint();
  });
  const resizing = new ResizeObserver(paint);
  resizing.observe(canvas);
  return {
    close: () => {
      ending.abort();
      resizing.disconnect();
    },
  };
}

function programOf(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(type)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  return program;
}

/** Hands a mesh to the graphics card; the number of indices. */
function fill(gl: WebGL2RenderingContext, program: WebGLProgram, { positions, normals, colours, triangles }: Mesh): number {
  for (const [name, data] of Object.entries({ position: positions, normal: normals, colour: colours })) {
    const place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.STATIC_DRAW);
  return triangles.length;
}
