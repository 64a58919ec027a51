"""The command line: commands, what they print (views, comparison, progress), and the options they share."""
