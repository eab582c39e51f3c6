package sshhost

// What the tests outside of the package see of it.

const Mark = markVariable

var Open = open
