package director

// What the tests outside of the package see of it.

var Surplus = surplusOf
