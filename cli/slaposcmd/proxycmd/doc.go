// Package proxycmd has the commands of a SlapOS master without a controller.
package proxycmd
