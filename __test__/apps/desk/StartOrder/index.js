module.exports = async (context, order) => {
  context.log('starting', order)
  context.bindings.starter = { FunctionName: 'Order', Input: order, InstanceId: order?.id }
  return order?.id
}
