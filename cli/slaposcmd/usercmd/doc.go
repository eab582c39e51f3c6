// Package usercmd has the commands with which users ask a SlapOS master.
package usercmd
