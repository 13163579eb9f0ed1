import { app } from 'durafn'

app.orchestration('from', () => 'df.app')
export const other = 1
