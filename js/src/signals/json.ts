/** JSON as side sections have it: without white space, non-ASCII characters escaped, integers apart from floats. */

import { type Cbor, CborFloat } from "../container/cbor";
import { MalformedError } from "../errors";

const DEEPEST = 500;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const TEXT = /"(?:[^"\\]|\\.)*"/y;
const WORDS = { true: true, false: false, null: null } as const;

/** A JSON value as CBOR has it; `MalformedError` for bytes that are not in the one form of their value. */
export function parseJson(data: Uint8Array): Cbor {
  if (!data.every((byte) => byte < 128)) throw damaged();
  const parser = new Parser(new TextDecoder().decode(data));
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): Cbor {
    const { text } = this;
    if (depth > DEEPEST) throw damaged();
    switch (text[this.at]) {
      case "{": return this.map(depth);
      case "[": return this.list(depth);
      case '"': return this.string();
    }
    for (const [word, value] of Object.entries(WORDS)) {
      if (text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const [number, fraction, exponent] = this.match(NUMBER);
    if (fraction === undefined && exponent === undefined) {
      if (number === "-0") throw damaged();
      const whole = Number(number);
      return Number.isSafeInteger(whole) ? whole : BigInt(number);
    }
    if (!Number.isFinite(Number(number))) throw damaged();
    return new CborFloat(Number(number));
  }

  end(): void {
    if (this.at !== this.text.length) throw damaged();
  }

  private map(depth: number): Map<string, Cbor> {
    const map = new Map<string, Cbor>();
    this.items("}", () => {
      const key = this.string();
      this.take(":");
      if (map.has(key)) throw damaged();
      map.set(key, this.value(depth + 1));
    });
    return map;
  }

  private list(depth: number): Cbor[] {
    const list: Cbor[] = [];
    this.items("]", () => list.push(this.value(depth + 1)));
    return list;
  }

  private items(end: string, item: () => void): void {
    this.at++;
    if (this.text[this.at] !== end) {
      item();
      while (this.text[this.at] === ",") {
        this.at++;
        item();
      }
    }
    this.take(end);
  }

  private string(): string {
    const [token] = this.match(TEXT);
    let value: string;
    try {
      value = JSON.parse(token) as string;
    } catch {
      throw damaged();
    }
    const escaped = JSON.stringify(value).replace(/[^\0-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    if (escaped !== token) throw damaged();
    return value;
  }

  private take(character: string): void {
    if (this.text[this.at] !== character) throw damaged();
    this.at++;
  }

  private match(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) throw damaged();
    this.at = pattern.lastIndex;
    return found;
  }
}

function damaged(): MalformedError {
  return new MalformedError("side section: expected JSON without white space, in ASCII");
}
