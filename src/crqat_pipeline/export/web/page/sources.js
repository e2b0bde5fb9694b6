// Where pictures come from: a file, a drop, the camera; and their pixels.

const LARGEST_PIXELS = 16_000_000; // of a canvas on iOS; a larger picture is scaled down by the browser first

/** The picture of a file, upright, its colours as they are stored. */
export async function openPicture(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name} is not a picture that this browser opens. Choose a JPEG or PNG.`);
  }
}

/** The camera's stream, shown by the video element. */
export async function openCamera(video) {
  try {
    const wish = { facingMode: "environment", width: { ideal: 1280 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
    video.srcObject = stream;
    await video.play();
    return stream;
  } catch (error) {
    throw new Error(`No camera (${error.name}). Allow it for this page; it needs https or localhost.`);
  }
}

/** Calls use(file) for each picture dropped anywhere on the page; the stage shows that it may be. */
export function receiveDrops(stage, use) {
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      stage.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) use(event.dataTransfer.files[0]);
    });
  }
}

/** A picture or video frame on the canvas in its own size, laid on white. */
export function drawSource(canvas, source) {
  const width = source.videoWidth ?? source.width;
  const height = source.videoHeight ?? source.height;
  const factor = Math.min(1, Math.sqrt(LARGEST_PIXELS / (width * height)));
  canvas.width = Math.max(1, Math.floor(width * factor));
  canvas.height = Math.max(1, Math.floor(height * factor));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(source, 0, 0, canvas.width, canvas.height);
  return pen;
}
