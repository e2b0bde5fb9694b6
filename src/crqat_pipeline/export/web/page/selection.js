// From scored regions to detections: every (region, prompt) pair above the threshold, suppressed per prompt.

/** [{label, score, box}], best first. scores: N K, boxes: N 4 xyxy. iou: null suppresses nothing. */
export function select(scores, boxes, numPrompts, { threshold, limit, iou, candidates }) {
  let pairs = [];
  for (let index = 0; index < scores.length; index++) if (scores[index] > threshold) pairs.push(index);
  pairs.sort((left, right) => scores[right] - scores[left] || left - right);
  pairs = pairs.slice(0, candidates);
  const kept = [];
  const keptOf = Array.from({ length: numPrompts }, () => []);
  for (const pair of pairs) {
    if (kept.length === limit) break;
    const label = pair % numPrompts;
    const region = (pair - label) / numPrompts;
    const box = Array.from(boxes.subarray(4 * region, 4 * region + 4));
    if (iou !== null && keptOf[label].some((other) => overlap(box, other) > iou)) continue;
    keptOf[label].push(box);
    kept.push({ label, score: scores[pair], box });
  }
  return kept;
}

function overlap(left, right) {
  const width = Math.min(left[2], right[2]) - Math.max(left[0], right[0]);
  const height = Math.min(left[3], right[3]) - Math.max(left[1], right[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (area(left) + area(right) - both);
}

function area(box) {
  return (box[2] - box[0]) * (box[3] - box[1]);
}
