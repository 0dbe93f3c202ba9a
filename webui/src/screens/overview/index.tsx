import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { Overview } from "./overview";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("overview", { en, ja });

export default function Area() {
  return <Routes><Route index element={<Overview />} /><Route path="*" element={<NotFound />} /></Routes>;
}
