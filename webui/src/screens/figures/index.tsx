import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { FiguresView } from "./figures";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("figures", { en, ja });

export default function Figures() {
  return <Routes><Route index element={<FiguresView />} /><Route path="*" element={<NotFound />} /></Routes>;
}
