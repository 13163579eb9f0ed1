import { threadId } from 'node:worker_threads'
import { app } from 'durafn'

app.activity('same', { handler: () => 1 })
app.activity(`of thread ${threadId}`, { handler: () => 1 })
