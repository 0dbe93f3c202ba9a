import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { EventList } from "./list";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("events", { en, ja });

export default function Events() {
  return <Routes><Route index element={<EventList />} /><Route path="*" element={<NotFound />} /></Routes>;
}
