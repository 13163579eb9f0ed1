module.exports = (context) => {
  context.bindings.starter = { FunctionName: 'Order', Input: {}, InstanceId: 'never' }
  context.done(new TypeError('out of order'))
}
