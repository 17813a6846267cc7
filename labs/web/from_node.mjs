// The three services from Node, with the AWS SDK for JavaScript: a schema, a list, a click, a list.
//
//   node from_node.mjs CAMPAIGN_ARN TRACKING_ID USER_ID
//
// The endpoints come from AWS_ENDPOINT_URL_PERSONALIZE, _RUNTIME and _EVENTS, as `personalens serve`
// prints them. Prints one line of JSON.
import {
  DescribeCampaignCommand,
  PersonalizeClient,
  ResourceNotFoundException,
} from "@aws-sdk/client-personalize";
import { PersonalizeEventsClient, PutEventsCommand } from "@aws-sdk/client-personalize-events";
import {
  GetRecommendationsCommand,
  PersonalizeRuntimeClient,
} from "@aws-sdk/client-personalize-runtime";

const [campaignArn, trackingId, userId] = process.argv.slice(2);
const control = new PersonalizeClient({});
const runtime = new PersonalizeRuntimeClient({});
const events = new PersonalizeEventsClient({});

async function recommend() {
  const answer = await runtime.send(new GetRecommendationsCommand({ campaignArn, userId }));
  return answer.itemList.map((item) => item.itemId);
}

const { campaign } = await control.send(new DescribeCampaignCommand({ campaignArn }));
const before = await recommend();
const clicked = before.at(-1);
const event = { eventType: "watch", itemId: clicked, sentAt: new Date() };
await events.send(
  new PutEventsCommand({ trackingId, userId, sessionId: "node", eventList: [event] }),
);
const after = await recommend();

let refusal = null;
try {
  await control.send(new DescribeCampaignCommand({ campaignArn: `${campaignArn}-missing` }));
} catch (error) {
  refusal = { typed: error instanceof ResourceNotFoundException, name: error.name };
}
const created = campaign.creationDateTime instanceof Date;
console.log(JSON.stringify({ status: campaign.status, created, before, clicked, after, refusal }));
