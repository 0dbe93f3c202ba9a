// Text that came from outside: a mail, a log line, a device.  Only ever a text node; what could reorder or hide it is shown.
// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
export function visible(text: string): string {
  return text.replace(HIDDEN, (c) => `⟨U+${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
export function Foreign({ text }: { text: string | null | undefined }) {
  return <bdi>{visible(text ?? "")}</bdi>;
}
