// An asynchronous resizing service of sharp behind BullMQ and Redis, for the comparison.
//
//     node sharp_queue.mjs api PORT       POST /api/?width=…&height=… with the picture as the body
//     node sharp_queue.mjs worker N       resizes N pictures at once
//
// It reads REDIS_PORT from the environment. The source and the result are keys of their own in Redis,
// so that no picture goes through JSON.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { Queue, Worker } from 'bullmq';
import Redis from 'ioredis';
import sharp from 'sharp';

const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const redis = new Redis(connection);
const KEEP_SECONDS = 3600;
const [role, number] = process.argv.slice(2);

if (role === 'api') {
  const queue = new Queue('resize', { connection });
  createServer((request, response) => {
    answer(queue, request, response).catch((error) => response.writeHead(500).end(String(error)));
  }).listen(Number(number), '127.0.0.1');
} else {
  sharp.concurrency(1);
  sharp.cache(false);
  new Worker('resize', resize, { connection, concurrency: Number(number) });
}

async function answer(queue, request, response) {
  const url = new URL(request.url, 'http://127.0.0.1');
  if (request.method === 'POST') {
    const parts = [];
    for await (const part of request) parts.push(part);
    const id = randomUUID();
    await redis.set(`source:${id}`, Buffer.concat(parts), 'EX', KEEP_SECONDS);
    const size = { width: Number(url.searchParams.get('width')), height: Number(url.searchParams.get('height')) };
    await queue.add('resize', { id, ...size }, { removeOnComplete: true });
    response.writeHead(201, { location: `/api/${id}` }).end(JSON.stringify({ identifier: id }));
    return;
  }
  const result = await redis.getBuffer(`result:${url.pathname.split('/').pop()}`);
  if (result) response.writeHead(200, { 'content-length': result.length }).end(result);
  else response.writeHead(202).end();
}

async function resize({ data: { id, width, height } }) {
  const source = await redis.getBuffer(`source:${id}`);
  const picture = sharp(source).resize(width || null, height || null, { fit: 'inside' });
  const { format } = await picture.metadata();
  const result = await picture.toFormat(format, format === 'png' ? {} : { quality: 80 }).toBuffer();
  await redis.set(`result:${id}`, result, 'EX', KEEP_SECONDS);
  await redis.del(`source:${id}`);
}
