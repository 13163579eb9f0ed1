import { App } from 'durafn'

const app = new App()
app.orchestration('from', () => 'default')
export default app
