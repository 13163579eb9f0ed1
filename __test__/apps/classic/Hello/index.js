module.exports = async (context) => `Hello ${context.bindings.name}!`
