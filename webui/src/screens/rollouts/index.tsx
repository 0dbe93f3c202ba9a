import { Route, Routes } from "react-router";
import { NotFound } from "../../frame/frame";
import "../changes/texts";
import { RolloutList } from "./list";
import { RolloutPage } from "./one";
import { RolloutPolicy } from "./policy";
import "./texts";

export default function Rollouts() {
  return <Routes><Route index element={<RolloutList />} /><Route path="policy" element={<RolloutPolicy />} /><Route path=":id" element={<RolloutPage />} /><Route path="*" element={<NotFound />} /></Routes>;
}
