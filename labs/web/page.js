// A page that uses Amazon Personalize as any shop's page does, with the AWS SDK for JavaScript: it
// shows a viewer's list, sends an event for each click on it, and shows the list again. Only the
// `endpoint` says that the service is a local one: `personalens serve`. Without it, and with real
// credentials, the same code talks to AWS.
import { PersonalizeEventsClient, PutEventsCommand } from "@aws-sdk/client-personalize-events";
import {
  GetRecommendationsCommand,
  PersonalizeRuntimeClient,
} from "@aws-sdk/client-personalize-runtime";

const form = document.querySelector("form");
const list = document.querySelector("#list");
const status = document.querySelector("#status");
const sessionId = crypto.randomUUID();

// Settings may stand in the address: page.html?campaignArn=...&trackingId=...&userId=...
for (const [name, value] of new URLSearchParams(location.search)) {
  if (form.elements[name]) form.elements[name].value = value;
}

function settings() {
  const values = Object.fromEntries(new FormData(form));
  const client = {
    endpoint: values.endpoint,
    region: values.region,
    credentials: { accessKeyId: "local", secretAccessKey: "local" }, // any will do on this machine
  };
  return { ...values, client };
}

async function showList() {
  const { client, campaignArn, userId } = settings();
  const runtime = new PersonalizeRuntimeClient(client);
  const answer = await runtime.send(
    new GetRecommendationsCommand({ campaignArn, userId, numResults: 10 }),
  );
  list.replaceChildren(...answer.itemList.map((item) => entry(item, answer.recommendationId)));
  status.textContent = `A list for ${userId}.`;
}

function entry({ itemId }, recommendationId) {
  const button = document.createElement("button");
  button.textContent = itemId;
  button.addEventListener("click", () => report(click(itemId, recommendationId)));
  const line = document.createElement("li");
  line.append(button);
  return line;
}

async function click(itemId, recommendationId) {
  const { client, trackingId, userId, eventType } = settings();
  const events = new PersonalizeEventsClient(client);
  const event = { eventType, itemId, recommendationId, sentAt: new Date() };
  await events.send(
    new PutEventsCommand({ trackingId, userId, sessionId, eventList: [event] }),
  );
  await showList();
  status.textContent = `Sent: ${eventType} of ${itemId}. The list is new.`;
}

function report(work) {
  work.catch((error) => {
    status.textContent = `${error.name}: ${error.message}`;
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  report(showList());
});
if (form.checkValidity()) report(showList());
