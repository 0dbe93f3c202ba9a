import { load } from "js-yaml";
import react from "@vitejs/plugin-react";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** NAME.br and NAME.gz beside each file that shrinks: the parent sends what it finds (server/http/static.h). */
function precompressed(): Plugin {
  const pack = (dir: string) => {
    for (const name of readdirSync(dir)) {
      const file = join(dir, name);
      if (statSync(file).isDirectory()) pack(file);
      else if (/\.(js|css|html|svg|json|yaml|txt)$/.test(name)) {
        const plain = readFileSync(file);
        if (plain.length < 1024) continue;
        writeFileSync(`${file}.br`, brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
        writeFileSync(`${file}.gz`, gzipSync(plain, { level: 9 }));
      }
    }
  };
  let dir = "";
  return {
    name: "inari-precompressed",
    apply: "build",
    configResolved: (c) => { dir = c.build.outDir; },
    closeBundle: () => pack(dir),
  };
}

/** The kit's own web fonts and pictures are not used (system fonts, no backgrounds): they would only make the package larger. */
function withoutKitFiles(): Plugin {
  return {
    name: "inari-without-kit-files",
    apply: "build",
    generateBundle(_, bundle) {
      for (const name of Object.keys(bundle)) if (/\.(woff2?|ttf|svg|png|jpe?g)$/.test(name)) delete bundle[name];
    },
  };
}

/** licenses.txt: what of others is in the files, with the words their licences ask to be passed on. */
function withLicences(): Plugin {
  return {
    name: "inari-licences",
    apply: "build",
    generateBundle() {
      const found = new Map<string, string>();
      for (const id of this.getModuleIds()) {
        const dir = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1];
        if (dir === undefined || found.has(dir)) continue;
        const about = JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as { name: string; version: string; license?: string };
        const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
        if (about.license === undefined) this.error(`${about.name} names no licence`);
        found.set(dir, `${about.name} ${about.version} (${about.license})\n\n${file ? readFileSync(join(dir, file), "utf8").trim() : "It brings no text of its licence."}\n`);
      }
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: [...found.values()].sort().join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}

/** The parent's description of its API, for the reference: read here, so that no reader of YAML travels to the browser. */
function withDescription(): Plugin {
  return {
    name: "inari-description",
    load: (id) => (id.endsWith("/api/openapi.yaml") ? `export default JSON.parse(${JSON.stringify(JSON.stringify(load(readFileSync(id, "utf8"))))})` : null),
  };
}

const out = process.env["INARI_WEBUI_OUT"];
const parent = process.env["INARI_PARENT"];
export default defineConfig({
  plugins: [react(), withDescription(), withoutKitFiles(), withLicences(), precompressed()],
  build: {
    ...(out === undefined ? {} : { outDir: out }),
    emptyOutDir: true,
    assetsInlineLimit: 0, // nothing inline: the policy of the page forbids it
    modulePreload: { polyfill: false },
    target: "es2023",
    chunkSizeWarningLimit: 1200,
  },
  // npx vite with INARI_PARENT=https://host:8445: the page of this tree in front of a running parent.
  ...(parent === undefined ? {} : { server: { proxy: { "/api": { target: parent, secure: false, changeOrigin: true } } } }),
  test: { environment: "happy-dom", isolate: false, server: { deps: { inline: [/@patternfly\//] } } },
} as Parameters<typeof defineConfig>[0]);
