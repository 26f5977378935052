// Predictions. A chapter writes one as plain Markdown, which reads well without this script, in Colab too:
//
//   a paragraph "**Predict:** a question?", a list of options "(a) ...", the figure with its caption "*Figure ...*",
//   and a fold "Answer".
//
// Here the options become buttons. The figure is veiled until one of them, or "Just show me", is pressed. It is only
// the look that changes: a screen reader finds everything, and paper shows everything.

{
  const isAnswer = (fold) => fold.querySelector('summary')?.textContent.trim() === 'Answer';
  const isCaption = (paragraph) => /^Figure \d/.test(paragraph.querySelector(':scope > em:first-child')?.textContent);
  const follows = (one, other) => one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;

  const buttonOf = (text) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...text);
    return button;
  };

  // Put the content of a list's item into a button, which keeps formulas and emphasis.
  const asButton = (item) => {
    const paragraph = item.querySelector(':scope > p');
    const button = buttonOf([...(paragraph ?? item).childNodes]);
    button.setAttribute('aria-pressed', 'false');
    item.replaceChildren(button);
    return button;
  };

  const makePrediction = (options, answer) => {
    const between = [...document.querySelectorAll('article .cell_output, article p')].filter(
      (one) => follows(options, one) && follows(one, answer) && (one.matches('.cell_output') || isCaption(one)),
    );
    if (!between.length) return;
    const buttons = [...options.children].map(asButton);
    const show = buttonOf(['Just show me']);
    const said = document.createElement('p');
    said.setAttribute('role', 'status');
    const last = document.createElement('li');
    last.append(show);
    options.append(last);
    options.classList.add('prediction');
    options.after(said);
    for (const one of between) one.classList.add('to-predict');

    const reveal = (words) => {
      for (const one of between) one.classList.remove('to-predict');
      answer.open = true;
      show.hidden = true;
      said.textContent = words;
    };
    for (const button of buttons)
      button.addEventListener('click', () => {
        for (const one of buttons) one.setAttribute('aria-pressed', String(one === button));
        const [letter] = button.textContent.match(/\([a-z]\)/) ?? ['this'];
        reveal(`You chose ${letter}. Look at the figure; the answer is below it.`);
      });
    show.addEventListener('click', () => reveal('The figure is shown; the answer is below it.'));
  };

  document.addEventListener('DOMContentLoaded', () => {
    const questions = [...document.querySelectorAll('article p')].filter((paragraph) =>
      /^Predict\b/.test(paragraph.querySelector(':scope > strong:first-child')?.textContent),
    );
    const answers = [...document.querySelectorAll('article details')].filter(isAnswer);
    questions.forEach((question, place) => {
      const options = question.nextElementSibling;
      const answer = answers.find((fold) => follows(question, fold));
      const next = questions[place + 1];
      if (options?.matches('ul') && answer && (!next || follows(answer, next))) makePrediction(options, answer);
    });
  });
}
