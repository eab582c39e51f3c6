// Package slaposcmd has the commands of SlapOS: those of its users, of a node and of a master.
package slaposcmd
