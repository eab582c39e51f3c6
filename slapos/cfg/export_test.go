package cfg

// What the tests outside of the package see of it.

const MaxSize = maxSize
