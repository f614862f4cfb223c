"""The voices that are installed with the program, by eSpeak NG."""
