// One GET, at RATE requests a second by whichever of VUS users is free, or without a rate as fast as they can.
import http from "k6/http";
import { check } from "k6";

const { URL, VUS, SECONDS, RATE } = __ENV;
const length = `${SECONDS}s`;
const users = Number(VUS);

export const options = {
  summaryTrendStats: ["p(50)", "p(95)", "p(99)", "max"],
  scenarios: {
    hello: Number(RATE)
      ? { executor: "constant-arrival-rate", rate: Number(RATE), duration: length, preAllocatedVUs: users, maxVUs: users }
      : { executor: "constant-vus", vus: users, duration: length },
  },
};

export default function () {
  check(http.get(URL), { answered: (answer) => answer.status === 200 });
}
