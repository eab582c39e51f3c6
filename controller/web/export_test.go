package web

// What the tests outside of the package see of it.

const Policy = policy
