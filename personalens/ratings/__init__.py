"""RatingHRNN, which predicts ratings, and the models that it is compared with."""
