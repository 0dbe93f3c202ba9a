// What people write as a mail server, and the settings that become of the form.
import { expect, test } from "vitest";
import { addressOf, nextHop, settingsOf } from "./mail";

test("a server as people write it", () => {
  expect(nextHop("mail.example.com")).toBe("[mail.example.com]:25");
  expect(nextHop(" 10.0.0.5:2525 ")).toBe("[10.0.0.5]:2525");
  expect(nextHop("2001:db8::5")).toBe("[2001:db8::5]:25");
  expect(nextHop("[10.0.0.5]:26")).toBe("[10.0.0.5]:26");
});
test("the mail server's own address may send, a name says nothing about addresses", () => {
  expect(addressOf("10.0.0.5:2525")).toBe("10.0.0.5");
  expect(addressOf("mail.example.com")).toBe("");
});
test("the settings: every domain has its route; what is empty is not set", () => {
  expect(settingsOf("Example.com\n example.org,example.com", "10.0.0.5", "", "")).toEqual({
    "smtp.relay_domains": { "example.com": {}, "example.org": {} },
    "smtp.routes": { "example.com": { next_hop: "[10.0.0.5]:25" }, "example.org": { next_hop: "[10.0.0.5]:25" } },
  });
  expect(settingsOf("a.example", "m", "10.0.0.0/24 10.1.0.1", "out.example:587")).toMatchObject({
    "smtp.relay_networks": { "10.0.0.0/24": {}, "10.1.0.1": {} }, "smtp.relayhost": "[out.example]:587" });
});
