"""python -m data_prep NAME: makes or checks every data set and the embedded weights."""
